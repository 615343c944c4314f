/* Every function of the library once, with answers that can be checked by hand. Prints "ok" and exits with 0. */
#include "thalweg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int failures;

/* Counts a claim that does not hold, and says which. */
static void hold(int claim, const char *what) {
  if (!claim) {
    printf("failed: %s\n", what);
    failures++;
  }
}

/* Both scalar types are called alike. */
#define NEAR(a, b) (fabs((double)(a) - (double)(b)) < 1e-5)
#define OK(call) hold((call) == THALWEG_STATUS_OK, #call)

#define EXERCISE(T, S)                                                                                                  \
  static void exercise_##S(void) {                                                                                     \
    T x[4] = {1, -2, 3, 0.5}, y[4] = {2, 1, 0, 4}, out = 0, s[4] = {0}, v[4] = {0}, w[4] = {0};                        \
    const T g[4] = {3, -1, 2, -4};                                                                                     \
    ThalwegError error;                                                                                                \
    uint64_t steps = 0;                                                                                                \
    size_t sent = 0, count = 0, written = 0, state = 0, room = 0;                                                      \
    OK(thalweg_dot_##S(x, y, 4, &out, &error));                                                                        \
    hold(out == 2, "the dot product is 2 - 2 + 0 + 2");                                                                \
    OK(thalweg_axpy_##S(2, x, y, 4, &error));                                                                          \
    hold(y[0] == 4 && y[3] == 5, "y + 2 x");                                                                           \
    OK(thalweg_norm2_##S(g, 4, &out, &error));                                                                         \
    hold(NEAR(out * out, 30), "the norm of (3, -1, 2, -4)");                                                           \
                                                                                                                       \
    ThalwegSgdConfig sgd = thalweg_sgd_config(0.5);                                                                    \
    sgd.momentum = 0.5;                                                                                                \
    OK(thalweg_sgd_step_##S(&sgd, &steps, s, x, g, 4, &error));                                                        \
    OK(thalweg_sgd_step_##S(&sgd, &steps, s, x, g, 4, &error));                                                        \
    hold(x[0] == (T)(1 - 1.5 - 2.25) && steps == 2, "two steps of momentum");                                          \
    ThalwegAdamConfig adam = thalweg_adamw_config();                                                                   \
    adam.weight_decay = 0;                                                                                             \
    memset(s, 0, sizeof s), memset(x, 0, sizeof x), steps = 0;                                                         \
    OK(thalweg_adam_step_##S(&adam, &steps, s, v, w, x, g, 4, &error));                                                \
    hold(NEAR(x[0], -1e-3) && NEAR(x[3], 1e-3), "the first step of Adam is the learning rate");                        \
    ThalwegLionConfig lion = thalweg_lion_config(0.25);                                                                \
    memset(s, 0, sizeof s), memset(x, 0, sizeof x);                                                                    \
    OK(thalweg_lion_step_##S(&lion, s, x, g, 4, &error));                                                              \
    hold(x[0] == (T)-0.25, "so is Lion's");                                                                            \
    ThalwegRmspropConfig rmsprop = thalweg_rmsprop_config();                                                           \
    memset(s, 0, sizeof s), memset(x, 0, sizeof x);                                                                    \
    OK(thalweg_rmsprop_step_##S(&rmsprop, s, v, w, x, g, 4, &error));                                                  \
    hold(NEAR(x[0], -0.1) && NEAR(s[0], 0.09), "RMSprop");                                                             \
    ThalwegAdagradConfig adagrad = thalweg_adagrad_config();                                                           \
    memset(s, 0, sizeof s), memset(x, 0, sizeof x), steps = 0;                                                         \
    OK(thalweg_adagrad_step_##S(&adagrad, &steps, s, x, g, 4, &error));                                                \
    hold(NEAR(x[0], -0.01) && s[0] == 9, "Adagrad");                                                                   \
    ThalwegLambConfig lamb = thalweg_lamb_config(0.5);                                                                 \
    lamb.eps = 0;                                                                                                      \
    memset(s, 0, sizeof s), memset(v, 0, sizeof v), memset(x, 0, sizeof x), x[0] = 4, steps = 0;                       \
    OK(thalweg_lamb_step_##S(&lamb, &steps, s, v, x, g, 4, &error));                                                   \
    hold(NEAR(x[0], 3) && NEAR(x[3], 1), "LAMB: half the norm 4, along signs of norm 2");                              \
    T rows[4] = {3, 0, 0, -3}, rise[4] = {1, 2, 3, 4}, space[256];                                                     \
    ThalwegNeroConfig nero = thalweg_nero_config();                                                                    \
    memset(s, 0, sizeof s), steps = 0;                                                                                 \
    OK(thalweg_nero_project_##S(1, 4, rows, &error));                                                                  \
    OK(thalweg_nero_step_##S(&nero, &steps, 1, 4, s, NULL, rows, rise, &error));                                       \
    hold(NEAR(rows[0], 0.7071062) && NEAR(rows[1], 0.0009093) && steps == 1, "Nero");                                  \
    ThalwegMuonConfig muon = thalweg_muon_config(1);                                                                   \
    muon.iterations = 0, muon.weight_decay = 0;                                                                        \
    memset(s, 0, sizeof s), memset(rows, 0, sizeof rows);                                                              \
    hold(thalweg_muon_workspace_len(1, 2) <= 256, "the workspace of a small matrix");                                  \
    OK(thalweg_muon_step_##S(&muon, 1, 2, s, space, 256, rows, y, &error));                                            \
    hold(NEAR(rows[0] * y[1], rows[1] * y[0]) && rows[0] < -0.5, "Muon's step is as long in every direction");         \
    T clipped[2] = {3, 4};                                                                                             \
    OK(thalweg_clip_by_norm_##S(1, clipped, 2, &out, &error));                                                         \
    hold(out == 5 && NEAR(clipped[0], 0.6), "clipping");                                                               \
                                                                                                                       \
    /* Two clients with the same vector: the mean of what PermK sends is the vector. */                               \
    ThalwegDrawKey key = {.seed = 1, .round = 2, .client = 0};                                                         \
    T sum[4] = {0};                                                                                                    \
    uint32_t where[4];                                                                                                 \
    for (key.client = 0; key.client < 2; key.client++) {                                                               \
      OK(thalweg_perm_k_compress_##S(&key, 2, g, 4, s, thalweg_perm_k_len(4, 2), &sent, &error));                      \
      OK(thalweg_perm_k_add_##S(&key, 2, s, sent, sum, 4, &error));                                                    \
    }                                                                                                                  \
    hold(memcmp(sum, g, sizeof sum) == 0, "PermK's mean of equal vectors is the vector");                              \
    key.client = 1;                                                                                                    \
    OK(thalweg_rand_k_compress_##S(&key, 4, g, 4, s, 4, &sent, &error));                                               \
    memset(sum, 0, sizeof sum);                                                                                        \
    OK(thalweg_rand_k_add_##S(&key, 1, s, 4, sum, 4, &error));                                                         \
    hold(memcmp(sum, g, sizeof sum) == 0, "RandK with k = d sends all");                                               \
    OK(thalweg_top_k_compress_##S(1, g, 4, s, where, thalweg_top_k_room(4, 1), &error));                               \
    hold(where[0] == 3 && s[0] == -4, "the largest magnitude");                                                        \
    OK(thalweg_top_k_add_##S(s, where, 1, 2, sum, 4, &error));                                                         \
    hold(sum[3] == -6, "half of it is added");                                                                         \
    OK(thalweg_natural_compress_##S(&key, x, 4, s, 4, &sent, &error));                                                 \
                                                                                                                       \
    /* Levels at shares of the norm are kept: 3/5 and 4/5 of 5. */                                                     \
    ThalwegDitheringConfig dithering = thalweg_dithering_config(5);                                                    \
    const T exact[2] = {3, -4};                                                                                        \
    int32_t levels[2];                                                                                                 \
    T both[2] = {1, 1};                                                                                                \
    OK(thalweg_dithering_compress_##S(&dithering, &key, exact, 2, levels, &out, &error));                              \
    hold(out == 5 && levels[0] == 3 && levels[1] == -4, "the levels of (3, -4)");                                      \
    OK(thalweg_dithering_add_##S(&dithering, levels, out, 2, both, 2, &error));                                        \
    hold(NEAR(both[0], 2.5) && NEAR(both[1], -1), "half of them is added");                                            \
    OK(thalweg_sign_compress_##S(g, 4, &out, &error));                                                                 \
    hold(out == 2.5, "the mean magnitude of (3, -1, 2, -4)");                                                          \
    memset(sum, 0, sizeof sum);                                                                                        \
    OK(thalweg_sign_add_##S(out, g, 1, sum, 4, &error));                                                               \
    hold(sum[0] == 2.5 && sum[3] == -2.5, "with the sign of each");                                                    \
                                                                                                                       \
    unsigned char bytes[128];                                                                                          \
    ThalwegFrameHeader header = {.round = 3, .seed = 1, .client = 1, .d = 4, .k = 2, .kind = THALWEG_KIND_PERM_K,      \
                                 .dtype = sizeof(T) == 4 ? THALWEG_DTYPE_F32 : THALWEG_DTYPE_F64};                     \
    ThalwegFrameHeader found;                                                                                          \
    OK(thalweg_frame_write_values_##S(&header, g, 2, bytes, sizeof bytes, &written, &error));                          \
    hold(written == THALWEG_FRAME_OVERHEAD + 2 * sizeof(T), "the length of a frame");                                  \
    OK(thalweg_frame_read(bytes, written, &found, &error));                                                            \
    hold(found.round == 3 && found.client == 1 && found.k == 2, "the fields of a frame");                              \
    OK(thalweg_frame_values_##S(bytes, written, s, 4, &count, &error));                                                \
    hold(count == 2 && s[1] == -1, "the values of a frame");                                                           \
    bytes[written - 6] ^= 1;                                                                                           \
    hold(thalweg_frame_read(bytes, written, &found, &error) == THALWEG_STATUS_DECODE && error.text[0], "damage");      \
    header.kind = THALWEG_KIND_SPARSE;                                                                                 \
    where[0] = 1, where[1] = 3;                                                                                        \
    OK(thalweg_frame_write_sparse_##S(&header, where, g, 2, bytes, sizeof bytes, &written, &error));                   \
    OK(thalweg_frame_sparse_##S(bytes, written, where, s, 4, &count, &error));                                         \
    hold(where[1] == 3 && s[0] == 3, "a sparse frame");                                                                \
                                                                                                                       \
    header.kind = THALWEG_KIND_SIGN, header.k = 4;                                                                     \
    OK(thalweg_frame_write_sign_##S(&header, out, g, 4, bytes, sizeof bytes, &written, &error));                       \
    OK(thalweg_frame_sign_##S(bytes, written, &out, s, 4, &count, &error));                                            \
    hold(count == 4 && out == 2.5 && s[2] == 1 && s[3] == -1, "the signs of a frame");                                 \
    header.kind = THALWEG_KIND_DITHERED, header.d = 2, header.k = 5;                                                   \
    OK(thalweg_frame_write_dithered_##S(&header, 5, levels, 2, bytes, sizeof bytes, &written, &error));                \
    levels[0] = levels[1] = 0;                                                                                         \
    OK(thalweg_frame_dithered_##S(bytes, written, &out, levels, 2, &count, &error));                                   \
    hold(count == 2 && out == 5 && levels[0] == 3 && levels[1] == -4, "the levels of a frame");                        \
                                                                                                                       \
    ThalwegSvgdConfig svgd = thalweg_svgd_config(1);                                                                   \
    svgd.bandwidth = 2;                                                                                                \
    T particles[2] = {0, 1}, flat[2] = {0, 0}, scratch[2048];                                                          \
    OK(thalweg_svgd_lengths(&svgd, 2, 1, &state, &room, &error));                                                      \
    hold(state == 0 && room <= 2048, "the lengths of a step of particles");                                            \
    steps = 0;                                                                                                         \
    OK(thalweg_svgd_step_##S(&svgd, &steps, NULL, particles, flat, 2, 1, scratch, room, &error));                      \
    hold(NEAR(particles[1], 1 + exp(-0.5) / 2), "particles repel each other");                                         \
    ThalwegMixtureShape shape = {.components = 1, .dim = 1, .covariance = THALWEG_COVARIANCE_FULL};                    \
    ThalwegMixtureLengths lengths;                                                                                     \
    T params[4], mean = 0, variance = 1, one = 1, row = 2, joint = 0, r = 0;                                           \
    const T data[3] = {1, 3, 5};                                                                                       \
    double doubles[16], statistics[4], likelihood = 0;                                                                 \
    uint32_t labels[3], words[16];                                                                                     \
    OK(thalweg_mixture_lengths(&shape, 3, &lengths, &error));                                                          \
    hold(lengths.params == 4 && lengths.statistics == 4 && lengths.em_scratch <= 16, "the lengths of a mixture");      \
    OK(thalweg_mixture_init_##S(&shape, params, &error));                                                              \
    OK(thalweg_mixture_set_weights_##S(&shape, params, &one, &error));                                                 \
    OK(thalweg_mixture_set_component_##S(&shape, params, 0, &mean, &variance, doubles, 16, &error));                   \
    OK(thalweg_mixture_log_joints_##S(&shape, params, &row, &joint, &error));                                          \
    hold(NEAR(joint, -0.918938533 - 2), "the standard normal density at 2");                                           \
    OK(thalweg_mixture_responsibilities_##S(&shape, params, &row, &r, &out, &error));                                  \
    hold(r == 1 && out == joint, "one component owns every row");                                                      \
    OK(thalweg_mixture_mean_log_likelihood_##S(&shape, params, data, 3, &out, &likelihood, &error));                   \
    hold(NEAR(likelihood, -0.918938533 - 35.0 / 6), "(1 + 9 + 25)/6");                                                 \
    ThalwegEmConfig em = thalweg_em_config();                                                                          \
    ThalwegEmOutcome fitted;                                                                                           \
    em.reg_covar = 0;                                                                                                  \
    OK(thalweg_em_step_##S(&em, &shape, params, data, 3, doubles, 16, &fitted, &error));                               \
    hold(NEAR(params[1], 3) && NEAR(params[2] * params[2], 0.375) && fitted.evaluations == 3, "mean 3, variance 8/3"); \
    ThalwegComponentSelectionConfig selection = thalweg_component_selection_config(7);                                 \
    ThalwegComponentSelectionState chains = {.labels = labels, .statistics = statistics};                              \
    ThalwegComponentSelectionOutcome visit;                                                                            \
    selection.batch_size = 3, selection.step_size = 1, selection.reg_covar = 0;                                        \
    hold(thalweg_component_selection_words(3, 1) <= 16, "the words of a batch");                                       \
    OK(thalweg_mixture_init_##S(&shape, params, &error));                                                              \
    OK(thalweg_component_selection_init_##S(7, &shape, params, &chains, data, 3, doubles, 16, &error));                \
    OK(thalweg_component_selection_step_##S(&selection, &shape, params, &chains, data, 3, words, 16, doubles, 16,      \
                                            &visit, &error));                                                          \
    hold(NEAR(params[1], 3) && NEAR(params[2] * params[2], 0.375) && visit.accepted == 6, "the same by its chains");   \
    hold(thalweg_dot_##S(NULL, x, 4, &out, &error) == THALWEG_STATUS_NULL, "a null pointer is refused");               \
    hold(strcmp(error.text, "`x` is null") == 0, "and named");                                                         \
  }

EXERCISE(float, f32)
EXERCISE(double, f64)

int main(void) {
  exercise_f32();
  exercise_f64();
  unsigned char bytes[64];
  size_t written = 0;
  uint64_t samples = 0;
  ThalwegFrameHeader hello = {.d = 4, .kind = THALWEG_KIND_HELLO, .dtype = THALWEG_DTYPE_F32};
  OK(thalweg_frame_write_control(&hello, 1797, bytes, sizeof bytes, &written, NULL));
  OK(thalweg_frame_number(bytes, written, &samples, NULL));
  hold(samples == 1797, "the samples of a client");
  /* The frame behind noise, a byte at a time. */
  ThalwegDeframer deframer = {0};
  unsigned char room[64], noise[3] = {1, 2, 3};
  size_t taken = 0, at = 0, size = 0;
  uint32_t begun = 1;
  OK(thalweg_deframer_push(&deframer, room, sizeof room, noise, 3, &taken, NULL));
  for (size_t i = 0; i < written && size == 0; i++) {
    OK(thalweg_deframer_push(&deframer, room, sizeof room, bytes + i, 1, &taken, NULL));
    OK(thalweg_deframer_next(&deframer, room, sizeof room, &at, &size, NULL));
  }
  hold(size == written && memcmp(room + at, bytes, written) == 0, "a frame behind noise");
  OK(thalweg_deframer_expire(&deframer, room, sizeof room, &begun, NULL));
  hold(begun == 0 && deframer.skipped == 3, "nothing is left of the line");
  hold(thalweg_adam_config().weight_decay == 0, "Adam decays nothing");
  printf("thalweg %s: %s\n", thalweg_version(), failures ? "failed" : thalweg_status_name(THALWEG_STATUS_OK));
  return failures != 0;
}
