/* image: looks at pictures, converts and compares them. */
#include "apps/common/command.h"
#include "apps/common/transform.h"

#include <stdlib.h>

/* ---- info -------------------------------------------------------------------------------------------------------- */

static int run_info(int count, char **arguments)
{
    command c = {.program = "image", .verb = "info",
                 .summary = "Tells format, size, channels and orientation of pictures.",
                 .operands = "FILE...", .fewest = 1, .most = count + 1};
    const int status = command_start(&c, count, arguments);
    int bad = 0;
    if (status != COMMAND_GO) return status;
    for (int i = 0; i < c.rest_count; i++) {
        image p;
        image_about about;
        app_error error = {""};
        if (image_read(&p, c.rest[i], &about, &error))
            printf("%s: %s (%s), %d x %d, %s, orientation %d\n", c.rest[i], about.format, about.detail, p.width,
                   p.height, p.channels == 1 ? "grey" : "colour", about.orientation);
        else {
            fprintf(stderr, "image info: %s\n", error.text);
            bad++;
        }
        image_free(&p);
    }
    return bad > 0;
}

/* ---- convert ----------------------------------------------------------------------------------------------------- */

typedef struct convert_options {
    const char *size;
    int width, height; /* that it says */
    bool crop, grey;
} convert_options;

/* The largest middle part that has the shape of width x height. */
static bool crop_to_shape(image *p, int width, int height, app_error *error)
{
    image part;
    int64_t w = p->width, h = p->width * (int64_t)height / width;
    if (h > p->height) {
        h = p->height;
        w = p->height * (int64_t)width / height;
    }
    if (!image_crop_centre(&part, p, w > 0 ? (int)w : 1, h > 0 ? (int)h : 1, error)) return false;
    image_free(p);
    *p = part;
    return true;
}

static bool convert(image *p, const convert_options *o, app_error *error)
{
    image next;
    if (o->size) {
        if (o->crop && !crop_to_shape(p, o->width, o->height, error)) return false;
        if (!image_resize(&next, p, o->width, o->height, IMAGE_LANCZOS, error)) return false;
        image_free(p);
        *p = next;
    }
    if (o->grey) {
        if (!image_to_grey(&next, p, error)) return false;
        image_free(p);
        *p = next;
    }
    return true;
}

static int run_convert(int count, char **arguments)
{
    convert_options o = {0};
    const option options[] = {
        {"size", OPTION_TEXT, &o.size, "resize (Lanczos)", "WIDTHxHEIGHT", 0, 0, NULL},
        {"crop", OPTION_FLAG, &o.crop,
         "with --size: the middle part of that shape, instead of stretching", NULL, 0, 0, NULL},
        {"grey", OPTION_FLAG, &o.grey, "to grey", NULL, 0, 0, NULL},
    };
    command c = {.program = "image", .verb = "convert", .operands = "IN OUT", .fewest = 2, .most = 2,
                 .summary = "Reads JPEG, PNG, PNM or BMP and writes PNG or PNM, upright.",
                 .options = options, .option_count = (int)(sizeof options / sizeof *options)};
    const int status = command_start(&c, count, arguments);
    image p = {0};
    app_error error = {""};
    if (status != COMMAND_GO) return status;
    char end;
    const bool sized = o.size && sscanf(o.size, "%6dx%6d%c", &o.width, &o.height, &end) == 2 && o.width > 0 &&
                       o.height > 0;
    if ((o.size && !sized) || (o.crop && !o.size)) {
        if (o.size) fprintf(stderr, "image convert: --size is \"%s\", expected WIDTHxHEIGHT\n", o.size);
        else fprintf(stderr, "image convert: --crop needs --size\n");
        return COMMAND_WRONG_USAGE;
    }
    const bool done = image_read(&p, c.rest[0], NULL, &error) && convert(&p, &o, &error) &&
                      image_write(&p, c.rest[1], &error);
    image_free(&p);
    if (!done) fprintf(stderr, "image convert: %s\n", error.text);
    return done ? 0 : 1;
}

/* ---- diff -------------------------------------------------------------------------------------------------------- */

static bool compare(const char *const *paths, app_error *error)
{
    image a = {0}, b = {0}, colour = {0};
    bool done = image_read(&a, paths[0], NULL, error) && image_read(&b, paths[1], NULL, error);
    if (done && (a.width != b.width || a.height != b.height))
        done = app_fail(error, "%s is %d x %d, %s is %d x %d", paths[0], a.width, a.height, paths[1], b.width,
                        b.height);
    if (done && a.channels != b.channels) { /* grey is compared as colour */
        image *grey = a.channels == 1 ? &a : &b;
        done = image_to_rgb(&colour, grey, error);
        image_free(grey);
        *grey = colour;
    }
    if (done) {
        const size_t values = (size_t)a.width * (size_t)a.height * (size_t)a.channels;
        double sum = 0;
        int largest = 0;
        for (size_t i = 0; i < values; i++) {
            const int d = abs(a.pixels[i] - b.pixels[i]);
            if (d > largest) largest = d;
            sum += d;
        }
        printf("mean=%.4f maximum=%d\n", sum / (double)values, largest);
    }
    image_free(&a);
    image_free(&b);
    return done;
}

static int run_diff(int count, char **arguments)
{
    command c = {.program = "image", .verb = "diff", .operands = "A B", .fewest = 2, .most = 2,
                 .summary = "Prints the mean and the largest difference of two pictures of one size (grey levels, 0 to "
                            "255)."};
    const int status = command_start(&c, count, arguments);
    app_error error = {""};
    if (status != COMMAND_GO) return status;
    if (compare(c.rest, &error)) return 0;
    fprintf(stderr, "image diff: %s\n", error.text);
    return 1;
}

int main(int count, char **arguments)
{
    static const verb verbs[] = {{"info", "format, size, channels, orientation", run_info},
                                 {"convert", "to PNG or PNM, another size, grey", run_convert},
                                 {"diff", "mean and maximum difference of two pictures", run_diff}};
    return command_run("image", "Looks at pictures, converts and compares them.", verbs, 3, count, arguments);
}
