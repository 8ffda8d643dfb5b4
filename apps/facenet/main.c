/* facenet: a net that puts faces of one person near each other and faces of two people far apart, trained from
 * scratch by triplets (Schroff, Kalenichenko and Philbin, "FaceNet: A unified embedding for face recognition and
 * clustering", 2015). */
#include "apps/common/command.h"
#include "apps/facenet/facenet.h"

int main(int count, char **arguments)
{
    static const verb verbs[] = {
        {"train", "train an embedding net on a folder of people or on the built-in faces", facenet_train},
        {"eval", "verify pairs of pictures of people the net has never seen", facenet_eval},
        {"embed", "write the embeddings of pictures as .npy and CSV", facenet_embed},
        {"enroll", "make people known at the door, by a photograph or more", facenet_enroll},
        {"list", "list who is enrolled", facenet_list},
        {"remove", "forget somebody who is enrolled", facenet_remove},
        {"identify", "say who is on photographs, or that it is a stranger", facenet_identify},
        {"verify", "say whether two photographs show one person", facenet_verify},
        {"calibrate", "find the threshold that lets few strangers in", facenet_calibrate},
        {"summary", "list the layers of a net", facenet_summary},
        {"detect", "find the faces of photographs", facenet_detect},
        {"lessons", "show by measured curves why it works", facenet_lessons},
        {"import", "turn weights of a tfjs manifest into safetensors", facenet_import}};
    return command_run("facenet", "Learns to tell faces apart, from scratch, and proves it on strangers.", verbs,
                       (int)(sizeof verbs / sizeof *verbs), count, arguments);
}
