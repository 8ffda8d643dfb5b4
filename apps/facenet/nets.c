/* The table of nets, and the form of a model in its file. */
#include "apps/facenet/nets.h"

#include <string.h>

/* ---- small: learns in minutes on two cores ----------------------------------------------------------------------- */

tsr_tensor *small_embed(tsr_model *m, tsr_tensor *x, int embedding)
{
    static const struct {
        const char *name;
        int channels;
    } blocks[] = {{"block1", 24}, {"block2", 48}, {"block3", 96}, {"block4", 128}};
    /* Batch norm has the bias. */
    const tsr_conv_options half = {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .no_bias = true};
    for (int i = 0; i < 4; i++) {
        tsr_enter(m, blocks[i].name);
        x = tsr_nn_conv(m, "conv", x, blocks[i].channels, &half);
        x = tsr_nn_batch_norm(m, "bn", x, &(tsr_norm_options){.activation = TSR_RELU});
        tsr_leave(m);
    }
    return tsr_l2_normalize(tsr_nn_linear(m, "embedding", x, embedding, NULL), -1);
}

/* ---- medium: what a few thousand photographs can fill ------------------------------------------------------------ */

tsr_tensor *medium_embed(tsr_model *m, tsr_tensor *x, int embedding)
{
    static const char *const names[] = {"block1", "block2", "block3", "block4"}, *const halves[] = {"a", "b"};
    for (int i = 0; i < 4; i++) {
        tsr_enter(m, names[i]);
        for (int k = 0; k < 2; k++) {
            tsr_enter(m, halves[k]);
            x = tsr_nn_conv(m, "conv", x, 32 * (i + 1), &(tsr_conv_options){.kernel = {3, 3}, .padding = {1, 1},
                                                                            .no_bias = true});
            x = tsr_nn_batch_norm(m, "bn", x, &(tsr_norm_options){.activation = TSR_RELU});
            tsr_leave(m);
        }
        tsr_leave(m);
        x = tsr_max_pool(x, &(tsr_pool_options){.kernel = {2, 2}});
    }
    x = tsr_nn_linear(m, "embedding", tsr_nn_dropout(m, x, 0.4), embedding, NULL);
    /* Centred and of equal variance, embeddings fill the sphere. */
    return tsr_l2_normalize(tsr_nn_batch_norm(m, "centre", x, &(tsr_norm_options){.no_affine = true}), -1);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

const face_net face_nets[] = {
    {.name = "small", .about = "four convolutions of stride 2, batch norm",
     .size = 48, .least_size = 16, .embedding = 128, .embed = small_embed},
    {.name = "medium", .about = "eight convolutions, batch norm, dropout",
     .size = 64, .least_size = 16, .embedding = 128, .embed = medium_embed},
    {.name = "nn4.small2", .about = "OpenFace's: inception without 4b to 4d, batch norm",
     .size = 96, .embedding = 128, .embed = nn4_small2_embed, .paper_parameters = 3733968},
    {.name = "nn1", .about = "Schroff et al. 2015, table 1: Zeiler and Fergus with 1x1",
     .size = 220, .embedding = 128, .embed = nn1_embed, .paper = nn1_paper, .paper_parameters = 140e6},
    {.name = "nn2", .about = "Schroff et al. 2015, table 2: inception",
     .size = 224, .embedding = 128, .embed = nn2_embed, .paper = nn2_paper, .paper_parameters = 7.5e6},
    {.name = "nn3", .about = "Schroff et al. 2015: nn2 on smaller pictures",
     .size = 160, .embedding = 128, .embed = nn2_embed},
    {.name = "face_resnet29", .about = "dlib's residual net; its weights come by facenet import",
     .size = 150, .embedding = 128, .fixed = true, .unnormalised = true, .threshold = 0.36,
     .mean = {122.782, 117.001, 104.298}, .divisor = 256, .embed = face_resnet29_embed},
    {.name = NULL}};

static const face_net *find(const char *name)
{
    for (const face_net *net = face_nets; net->name; net++)
        if (strcmp(net->name, name) == 0) return net;
    return NULL;
}

const face_net *face_net_find(const char *name, app_error *error)
{
    char names[200] = "";
    const face_net *found = find(name);
    for (const face_net *net = face_nets; net->name; net++) {
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", net->name);
    }
    if (!found) app_fail(error, "there is no net \"%.64s\"; there are %s", name, names);
    return found;
}

/* ---- forms ------------------------------------------------------------------------------------------------------- */

bool face_form_of(face_form *out, const face_net *net, const face_form *wanted, app_error *error)
{
    enum { LARGEST_SIZE = 1024, LONGEST = 65536 };
    const face_form w = wanted ? *wanted : (face_form){0};
    *out = (face_form){net, w.size ? w.size : net->size, w.channels ? w.channels : 3,
                       w.embedding ? w.embedding : net->embedding};
    if (net->least_size && (out->size < net->least_size || out->size > LARGEST_SIZE))
        return app_fail(error, "%s sees squares of %d to %d pixels, not %dx%d", net->name, net->least_size,
                        (int)LARGEST_SIZE, out->size, out->size);
    if (!net->least_size && out->size != net->size)
        return app_fail(error, "%s sees squares of %dx%d pixels, not %dx%d", net->name, net->size, net->size, out->size,
                        out->size);
    if (out->channels != 3 && (out->channels != 1 || net->fixed))
        return app_fail(error, "%s sees 3 channels%s, not %d", net->name, net->fixed ? "" : " or 1", out->channels);
    if (net->fixed && out->embedding != net->embedding)
        return app_fail(error, "%s makes embeddings of %d numbers, not %d", net->name, net->embedding, out->embedding);
    if (out->embedding < 1 || out->embedding > LONGEST)
        return app_fail(error, "an embedding has 1 to %d numbers, not %d", (int)LONGEST, out->embedding);
    return true;
}

static const char prefix[] = "facenet "; /* before the net's name in a file */

void face_describe(tsr_model *m, const face_form *form)
{
    char text[64];
    snprintf(text, sizeof text, "%s%s", prefix, form->net->name);
    tsr_set_text(m, "net", text);
    snprintf(text, sizeof text, "%dx%dx%d", form->size, form->size, form->channels);
    tsr_set_text(m, "input", text);
    snprintf(text, sizeof text, "%d", form->embedding);
    tsr_set_text(m, "embedding", text);
}

/* Whether the texts describe a net that exists; *out is then what they say, as yet unchecked. */
static bool read_texts(const tsr_model *m, face_form *out)
{
    const char *net = tsr_text_of(m, "net"), *input = tsr_text_of(m, "input"), *embedding = tsr_text_of(m, "embedding");
    int height;
    *out = (face_form){0};
    if (!net || strncmp(net, prefix, strlen(prefix)) != 0) return false;
    out->net = find(net + strlen(prefix));
    if (!out->net || !input || sscanf(input, "%5dx%5dx%5d", &height, &out->size, &out->channels) != 3) return false;
    if (!embedding) out->embedding = out->net->embedding;
    else if (sscanf(embedding, "%6d", &out->embedding) != 1) return false;
    return height == out->size && out->size > 0 && out->channels > 0 && out->embedding > 0;
}

bool face_form_in(face_form *out, const tsr_model *m, app_error *error)
{
    return read_texts(m, out) || app_fail(error, "the model's texts name no net");
}

/* What a file without texts holds, by a tensor that no other net has. */
static const face_net *guess_net(tsr_context *ctx, const char *path)
{
    tsr_archive *archive = tsr_archive_open(ctx, path);
    const bool resnet = tsr_archive_find(archive, "conv256_down_out.conv2.scale.weight") >= 0;
    tsr_archive_close(archive);
    return resnet ? find("face_resnet29") : NULL;
}

bool face_open(tsr_model *m, const char *path, face_form *out, app_error *error)
{
    face_form said;
    tsr_context *ctx = tsr_model_context(m);
    if (!tsr_model_load(m, path, NULL)) return app_fail(error, "%s", tsr_error(ctx));
    if (!tsr_text_of(m, "net")) {
        const face_net *net = guess_net(ctx, path);
        if (net && face_form_of(out, net, NULL, error)) face_describe(m, out);
    }
    if (!read_texts(m, &said)) {
        const char *net = tsr_text_of(m, "net"), *input = tsr_text_of(m, "input");
        return app_fail(error, "%s: is no model of facenet (its net is \"%.40s\", its input \"%.40s\")", path,
                        net ? net : "not named", input ? input : "not named");
    }
    app_error why = {""};
    return face_form_of(out, said.net, &said, &why) || app_fail(error, "%s: %s", path, why.text);
}

tsr_tensor *face_embed(tsr_model *m, tsr_tensor *x)
{
    face_form form;
    tsr_context *ctx = tsr_model_context(m);
    if (!m || tsr_error(ctx) || tsr_is_error(x)) return x;
    if (!read_texts(m, &form))
        return tsr_fail(ctx, "face_embed: the model's texts name no net (face_describe was not called)");
    const tsr_shape shape = tsr_shape_of(x);
    if (shape.rank != 4 || !tsr_same_shape(shape, TSR_SHAPE(shape.dims[0], form.size, form.size, form.channels)))
        return tsr_fail(ctx, "%s: input %s, needs [N, %d, %d, %d]", form.net->name, tsr_shape_text(shape).text,
                        form.size, form.size, form.channels);
    return form.net->embed(m, x, form.embedding);
}
