/* signals: what a convolution learns along one axis and along three: heartbeats, volumes, moving patterns. */
#include "apps/common/command.h"
#include "apps/signals/signals.h"

int main(int count, char **arguments)
{
    static const verb verbs[] = {
        {"shapes", "tell how shapes change from layer to layer, in one, two and three dimensions", signals_shapes},
        {"train", "train a net on built-in or on your own signals, and judge it beside baselines", signals_train},
        {"eval", "judge a trained net on signals it has not seen", signals_eval},
        {"predict", "say the class of signals, and show what the net looked at", signals_predict}};
    return command_run("signals", "Classifies heartbeats, volumes and clips: one net, one to three dimensions.", verbs,
                       (int)(sizeof verbs / sizeof *verbs), count, arguments);
}
