// thalweg: gradient descent and its relatives, over the memory of the caller. Generated; the contract is in src/lib.rs.

#ifndef THALWEG_H
#define THALWEG_H

#include <stddef.h>
#include <stdint.h>

// Bytes of an [`Error`]'s text with the zero at its end.
#define THALWEG_ERROR_TEXT 124

// Products and sums as on every target, with the same bits.
#define THALWEG_ARITHMETIC_PORTABLE 0

// Whatever is fast on this target.
#define THALWEG_ARITHMETIC_FAST 1

// Weight decay enters the gradient.
#define THALWEG_DECAY_L2 0

// Parameters shrink by the learning rate times the weight decay: AdamW as in PyTorch.
#define THALWEG_DECAY_DECOUPLED 1

// Parameters shrink by the weight decay alone.
#define THALWEG_DECAY_INDEPENDENT 2

// A client joins.
#define THALWEG_KIND_HELLO 1

// The model, `d` values.
#define THALWEG_KIND_MODEL 2

// The gradient estimate, `d` values.
#define THALWEG_KIND_ESTIMATE 3

// A client's `d` values.
#define THALWEG_KIND_DENSE 4

// A client's share of the shared permutation.
#define THALWEG_KIND_PERM_K 5

// The values at `k` drawn coordinates.
#define THALWEG_KIND_RAND_K 6

// The values at `k` consecutive coordinates.
#define THALWEG_KIND_RAND_SEQ_K 7

// Coordinates and values.
#define THALWEG_KIND_SPARSE 8

// Signed powers of two.
#define THALWEG_KIND_NATURAL 9

// A scale and `d` signs.
#define THALWEG_KIND_SIGN 10

// A norm and `d` levels.
#define THALWEG_KIND_DITHERED 11

// A norm and `d` levels at powers of two.
#define THALWEG_KIND_NATURAL_DITHERED 12

// A round is opened.
#define THALWEG_KIND_ROUND 13

// Received and applied.
#define THALWEG_KIND_ACK 14

// A client leaves, or is left out.
#define THALWEG_KIND_DROP 15

// The run ends.
#define THALWEG_KIND_STOP 16

// The Jacobian of the outputs for sample `k`.
#define THALWEG_KIND_JACOBIAN 17

// The large elements of one, quantised.
#define THALWEG_KIND_QUANTISED_JACOBIAN 18

// The classes of a client's samples.
#define THALWEG_KIND_LABELS 19

// The outputs of the model on a client's samples.
#define THALWEG_KIND_LOGITS 20

// A model that the server may choose.
#define THALWEG_KIND_CANDIDATE 21

// The losses of the candidates.
#define THALWEG_KIND_LOSSES 22

// The public key of a client.
#define THALWEG_KIND_PUBLIC_KEY 23

// A seed, encrypted for one client.
#define THALWEG_KIND_SEALED_SEED 24

// No values.
#define THALWEG_DTYPE_NONE 0

// `float`.
#define THALWEG_DTYPE_F32 1

// `double`.
#define THALWEG_DTYPE_F64 2

// Bytes of a frame around its payload.
#define THALWEG_FRAME_OVERHEAD 52

// Levels are shares of the Euclidean norm.
#define THALWEG_NORM_TWO 0

// Levels are shares of the largest magnitude.
#define THALWEG_NORM_MAX 1

// `exp(-q/h)`.
#define THALWEG_KERNEL_RBF 0

// `(1 + q/h)^(-1/2)`.
#define THALWEG_KERNEL_IMQ 1

// The step size times the field.
#define THALWEG_RULE_CONSTANT 0

// AdaGrad with the constants of SVGD's published code.
#define THALWEG_RULE_ADAGRAD 1

// Adam with the constants of its paper.
#define THALWEG_RULE_ADAM 2

// Any positive definite covariance.
#define THALWEG_COVARIANCE_FULL 0

// A variance for each column.
#define THALWEG_COVARIANCE_DIAGONAL 1

// One variance for all columns.
#define THALWEG_COVARIANCE_SPHERICAL 2

// One positive definite covariance for all components.
#define THALWEG_COVARIANCE_TIED 3

// Every component alike (MHSAEM-U).
#define THALWEG_PROPOSAL_UNIFORM 0

// By a table of what each row has visited (MHSAEM-TF).
#define THALWEG_PROPOSAL_TABLE 1

// By responsibilities (MCSAEM).
#define THALWEG_PROPOSAL_POSTERIOR 2

// None: responsibilities of all components (SAEM).
#define THALWEG_PROPOSAL_ALL 3

// The log joint of a label is evaluated at each visit.
#define THALWEG_CURRENT_FRESH 0

// It is the one of the last visit.
#define THALWEG_CURRENT_CACHED 1

// What a call ended with. `thalweg_status_name` gives the name.
enum ThalwegStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  THALWEG_STATUS_OK = 0,
  // A slice of the wrong length.
  THALWEG_STATUS_LENGTH = 1,
  // A hyperparameter, count or index outside its range.
  THALWEG_STATUS_PARAMETER = 2,
  // A value that is NaN or infinite where a finite one is needed.
  THALWEG_STATUS_NON_FINITE = 3,
  // A matrix that is not invertible to working precision.
  THALWEG_STATUS_SINGULAR = 4,
  // An iteration that did not reach its tolerance.
  THALWEG_STATUS_NO_CONVERGENCE = 5,
  // A value for which an iteration diverges.
  THALWEG_STATUS_UNSTABLE = 6,
  // A pointer that is null where elements are needed.
  THALWEG_STATUS_NULL = 7,
  // A pointer that is not aligned to its elements, or a length beyond the address space.
  THALWEG_STATUS_POINTER = 8,
  // Bytes that are not a frame of this format, or not the one asked for.
  THALWEG_STATUS_DECODE = 9,
  // A frame that cannot be written.
  THALWEG_STATUS_ENCODE = 10,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ThalwegStatus ThalwegStatus;
#else
typedef uint32_t ThalwegStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A status and the same in words: which argument, what it is, what it must be.
typedef struct ThalwegError {
  // The status that the call answered.
  ThalwegStatus status;
  // Zero-terminated ASCII, cut where the room ends.
  char text[THALWEG_ERROR_TEXT];
} ThalwegError;

// Hyperparameters of stochastic gradient descent: [`sgd::Config`].
typedef struct ThalwegSgdConfig {
  // Step length.
  double learning_rate;
  // Decay of the buffer; 0 needs none.
  double momentum;
  // Share of the gradient that does not enter the buffer.
  double dampening;
  // Strength of the decay.
  double weight_decay;
  // One of `THALWEG_DECAY_*`.
  uint32_t decay;
  // 1: Nesterov's form.
  uint32_t nesterov;
  // 1: ascend.
  uint32_t maximize;
} ThalwegSgdConfig;

// Hyperparameters of Adam, AdamW and AMSGrad: [`adam::Config`].
typedef struct ThalwegAdamConfig {
  // Step length.
  double learning_rate;
  // Decay of the first moment.
  double beta1;
  // Decay of the second moment.
  double beta2;
  // Added to the root.
  double eps;
  // Strength of the decay.
  double weight_decay;
  // One of `THALWEG_DECAY_*`.
  uint32_t decay;
  // 1: AMSGrad, which needs its third slice.
  uint32_t amsgrad;
  // 1: ascend.
  uint32_t maximize;
  // One of `THALWEG_ARITHMETIC_*`.
  uint32_t arithmetic;
} ThalwegAdamConfig;

// Hyperparameters of Lion: [`lion::Config`].
typedef struct ThalwegLionConfig {
  // Step length.
  double learning_rate;
  // Share of the momentum in the direction.
  double beta1;
  // Decay of the momentum.
  double beta2;
  // Strength of the decay.
  double weight_decay;
  // One of `THALWEG_DECAY_*`.
  uint32_t decay;
  // 1: ascend.
  uint32_t maximize;
} ThalwegLionConfig;

// Hyperparameters of RMSprop: [`rmsprop::Config`].
typedef struct ThalwegRmspropConfig {
  // Step length.
  double learning_rate;
  // Decay of the mean square.
  double alpha;
  // Added to the root.
  double eps;
  // Decay of the buffer; 0 needs none.
  double momentum;
  // Strength of the decay.
  double weight_decay;
  // 1: `eps` is inside the root.
  uint32_t eps_in_sqrt;
  // 1: the square of the mean gradient is subtracted, which needs its slice.
  uint32_t centered;
  // One of `THALWEG_DECAY_*`.
  uint32_t decay;
  // 1: ascend.
  uint32_t maximize;
  // One of `THALWEG_ARITHMETIC_*`.
  uint32_t arithmetic;
} ThalwegRmspropConfig;

// Hyperparameters of Adagrad: [`adagrad::Config`].
typedef struct ThalwegAdagradConfig {
  // Step length.
  double learning_rate;
  // Decay of the step length.
  double lr_decay;
  // What the sum of squares begins with.
  double initial_accumulator;
  // Added to the root.
  double eps;
  // Strength of the decay.
  double weight_decay;
  // One of `THALWEG_DECAY_*`.
  uint32_t decay;
  // 1: ascend.
  uint32_t maximize;
  // One of `THALWEG_ARITHMETIC_*`.
  uint32_t arithmetic;
} ThalwegAdagradConfig;

// Hyperparameters of LAMB: [`lamb::Config`].
typedef struct ThalwegLambConfig {
  // Length of a step over the norm of the weights.
  double learning_rate;
  // Decay of the first moment.
  double beta1;
  // Decay of the second moment.
  double beta2;
  // Added to the root.
  double eps;
  // Share of the weights in the direction.
  double weight_decay;
} ThalwegLambConfig;

// Hyperparameters of Muon: [`muon::Config`].
typedef struct ThalwegMuonConfig {
  // Length of a step in each direction.
  double learning_rate;
  // Decay of the momentum.
  double momentum;
  // Decay of the weights per unit of learning rate.
  double weight_decay;
  // Added to the norm of the momentum.
  double eps;
  // 1: Nesterov's form.
  uint32_t nesterov;
  // Newton-Schulz iterations of a step.
  uint32_t iterations;
  // One of `THALWEG_ARITHMETIC_*`.
  uint32_t arithmetic;
} ThalwegMuonConfig;

// Hyperparameters of Nero: [`nero::Config`].
typedef struct ThalwegNeroConfig {
  // Length of the step of a row of norm 1.
  double learning_rate;
  // Decay of the mean square.
  double beta;
} ThalwegNeroConfig;

// What shared draws are drawn from: [`Key`].
typedef struct ThalwegDrawKey {
  // Seed of the run.
  uint64_t seed;
  // Round of the protocol.
  uint64_t round;
  // Client that sends.
  uint32_t client;
} ThalwegDrawKey;

// The fields of a frame: [`Header`].
typedef struct ThalwegFrameHeader {
  // Round of the protocol.
  uint64_t round;
  // Seed of the run.
  uint64_t seed;
  // The sender's number.
  uint32_t client;
  // Dimension of the model.
  uint32_t d;
  // Values sent.
  uint32_t k;
  // Code of the kind, `THALWEG_KIND_*`.
  uint32_t kind;
  // Code of the scalar type: 0 none, 1 `f32`, 2 `f64`.
  uint32_t dtype;
  // Flags.
  uint32_t flags;
} ThalwegFrameHeader;

// What dithering rounds to: [`Dithering`] and [`NaturalDithering`].
typedef struct ThalwegDitheringConfig {
  // Levels above zero.
  uint32_t levels;
  // The norm that they divide, `THALWEG_NORM_*`.
  uint32_t norm;
  // Not 0: the levels are powers of two, else equidistant.
  uint32_t natural;
} ThalwegDitheringConfig;

// Where a search for frames stands in the caller's buffer; all zero at the beginning.
typedef struct ThalwegDeframer {
  // Bytes before it are done with.
  size_t start;
  // Bytes before it have arrived.
  size_t end;
  // Length of the frame that was lent last.
  size_t lent;
  // Bytes that belonged to no frame.
  uint64_t skipped;
} ThalwegDeframer;

// Hyperparameters: [`svgd::Config`].
typedef struct ThalwegSvgdConfig {
  // Length of a step.
  double step_size;
  // Bandwidth, a squared length; 0 asks for the median rule.
  double bandwidth;
  // One of `THALWEG_KERNEL_*`.
  uint32_t kernel;
  // One of `THALWEG_RULE_*`.
  uint32_t rule;
  // One of `THALWEG_ARITHMETIC_*`.
  uint32_t arithmetic;
} ThalwegSvgdConfig;

// Hyperparameters: [`em::Config`].
typedef struct ThalwegEmConfig {
  // Added to the variances.
  double reg_covar;
} ThalwegEmConfig;

// Components, columns of the data, and shape of the covariances.
typedef struct ThalwegMixtureShape {
  // Number of components; at least 1.
  size_t components;
  // Number of columns; at least 1.
  size_t dim;
  // One of `THALWEG_COVARIANCE_*`.
  uint32_t covariance;
} ThalwegMixtureShape;

// Lengths of the buffers of a mixture.
typedef struct ThalwegMixtureLengths {
  // Numbers of the parameters: log weights, means, inverse factors, half log-determinants.
  size_t params;
  // Doubles of scratch with which a component is set.
  size_t component_scratch;
  // Doubles of scratch with which a step of EM evaluates each likelihood once.
  size_t em_scratch;
  // Doubles of scratch that a step of EM needs.
  size_t em_least_scratch;
  // Doubles of the statistics of component selection.
  size_t statistics;
  // Doubles of scratch of component selection.
  size_t selection_scratch;
} ThalwegMixtureLengths;

// What a step of EM has found: [`em::Outcome`].
typedef struct ThalwegEmOutcome {
  // Mean log-likelihood before the step.
  double mean_log_likelihood;
  // Likelihoods evaluated.
  uint64_t evaluations;
  // Components that kept their covariance.
  uint64_t kept;
} ThalwegEmOutcome;

// Hyperparameters: [`Config`].
typedef struct ThalwegComponentSelectionConfig {
  // Seed of all draws.
  uint64_t seed;
  // Rows of a batch.
  uint64_t batch_size;
  // Proposals to each row of a batch.
  uint64_t moves;
  // Step size of the statistics; 0 asks for `(t + step_offset)^-step_exponent` in step `t`.
  double step_size;
  // At least 1.
  double step_offset;
  // In (1/2, 1].
  double step_exponent;
  // Inverse temperature of chains and responsibilities.
  double inverse_temperature;
  // Added to the variances.
  double reg_covar;
  // How fast a table forgets.
  double table_rate;
  // Share of uniform proposals in addition to a table.
  double table_floor;
  // One of `THALWEG_PROPOSAL_*`.
  uint32_t proposal;
  // One of `THALWEG_CURRENT_*`.
  uint32_t current;
} ThalwegComponentSelectionConfig;

// The chains, in the caller's memory: [`State`].
typedef struct ThalwegComponentSelectionState {
  // The label of each row.
  uint32_t *labels;
  // As many numbers as the lengths of the mixture say.
  double *statistics;
  // A number for each row; null without `THALWEG_CURRENT_CACHED`.
  double *cache;
  // A number for each row and component; null without `THALWEG_PROPOSAL_TABLE`.
  float *table;
  // What the statistics are to be multiplied with.
  double factor;
  // Steps taken.
  uint64_t steps;
  // Likelihoods evaluated in all steps.
  uint64_t evaluations;
} ThalwegComponentSelectionState;

// What a step of component selection has done: [`component_selection::Outcome`].
typedef struct ThalwegComponentSelectionOutcome {
  // Proposals accepted, those of the label itself included.
  uint64_t accepted;
  // Proposals of the label itself.
  uint64_t repeated;
  // Likelihoods evaluated.
  uint64_t evaluations;
  // Components that kept their covariance.
  uint64_t kept;
} ThalwegComponentSelectionOutcome;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The name of a status, zero-terminated, valid for the life of the program.
const char *thalweg_status_name(uint32_t status);

// The version of the library, `"major.minor.patch"`, zero-terminated, valid for the life of the program.
const char *thalweg_version(void);

// Writes `sum_i x_i y_i` to `out`, with the same bits on every target.
ThalwegStatus thalweg_dot_f32(const float *x, const float *y, size_t n, float *out, struct ThalwegError *error);

// [`thalweg_dot_f32`] in `f64`.
ThalwegStatus thalweg_dot_f64(const double *x, const double *y, size_t n, double *out, struct ThalwegError *error);

// Writes the Euclidean norm of `x` to `out`, without overflow of the squares.
ThalwegStatus thalweg_norm2_f32(const float *x, size_t n, float *out, struct ThalwegError *error);

// [`thalweg_norm2_f32`] in `f64`.
ThalwegStatus thalweg_norm2_f64(const double *x, size_t n, double *out, struct ThalwegError *error);

// `y <- y + a x`.
ThalwegStatus thalweg_axpy_f32(float a, const float *x, float *y, size_t n, struct ThalwegError *error);

// [`thalweg_axpy_f32`] in `f64`.
ThalwegStatus thalweg_axpy_f64(double a, const double *x, double *y, size_t n, struct ThalwegError *error);

// Plain descent with this step length.
struct ThalwegSgdConfig thalweg_sgd_config(double learning_rate);

// PyTorch's defaults for Adam.
struct ThalwegAdamConfig thalweg_adam_config(void);

// PyTorch's defaults for AdamW.
struct ThalwegAdamConfig thalweg_adamw_config(void);

// Optax's defaults for Lion, with this step length.
struct ThalwegLionConfig thalweg_lion_config(double learning_rate);

// PyTorch's defaults for RMSprop.
struct ThalwegRmspropConfig thalweg_rmsprop_config(void);

// PyTorch's defaults for Adagrad.
struct ThalwegAdagradConfig thalweg_adagrad_config(void);

// Optax's defaults for LAMB, with this step length.
struct ThalwegLambConfig thalweg_lamb_config(double learning_rate);

// PyTorch's defaults for Muon, with this step length.
struct ThalwegMuonConfig thalweg_muon_config(double learning_rate);

// The publication's defaults for Nero.
struct ThalwegNeroConfig thalweg_nero_config(void);

// One step of gradient descent on `params` along `grad`; `buffer` is read only with momentum, and may be null without.
ThalwegStatus thalweg_sgd_step_f32(const struct ThalwegSgdConfig *config,
                                   uint64_t *steps,
                                   float *buffer,
                                   float *params,
                                   const float *grad,
                                   size_t n,
                                   struct ThalwegError *error);

// [`thalweg_sgd_step_f32`] in `f64`.
ThalwegStatus thalweg_sgd_step_f64(const struct ThalwegSgdConfig *config,
                                   uint64_t *steps,
                                   double *buffer,
                                   double *params,
                                   const double *grad,
                                   size_t n,
                                   struct ThalwegError *error);

// One step of Adam; `largest` is read only by AMSGrad, and may be null otherwise.
ThalwegStatus thalweg_adam_step_f32(const struct ThalwegAdamConfig *config,
                                    uint64_t *steps,
                                    float *m,
                                    float *v,
                                    float *largest,
                                    float *params,
                                    const float *grad,
                                    size_t n,
                                    struct ThalwegError *error);

// [`thalweg_adam_step_f32`] in `f64`.
ThalwegStatus thalweg_adam_step_f64(const struct ThalwegAdamConfig *config,
                                    uint64_t *steps,
                                    double *m,
                                    double *v,
                                    double *largest,
                                    double *params,
                                    const double *grad,
                                    size_t n,
                                    struct ThalwegError *error);

// One step of Lion.
ThalwegStatus thalweg_lion_step_f32(const struct ThalwegLionConfig *config,
                                    float *momentum,
                                    float *params,
                                    const float *grad,
                                    size_t n,
                                    struct ThalwegError *error);

// [`thalweg_lion_step_f32`] in `f64`.
ThalwegStatus thalweg_lion_step_f64(const struct ThalwegLionConfig *config,
                                    double *momentum,
                                    double *params,
                                    const double *grad,
                                    size_t n,
                                    struct ThalwegError *error);

// One step of RMSprop; `mean` is read only when centred, `buffer` only with momentum.
ThalwegStatus thalweg_rmsprop_step_f32(const struct ThalwegRmspropConfig *config,
                                       float *mean_square,
                                       float *mean,
                                       float *buffer,
                                       float *params,
                                       const float *grad,
                                       size_t n,
                                       struct ThalwegError *error);

// [`thalweg_rmsprop_step_f32`] in `f64`.
ThalwegStatus thalweg_rmsprop_step_f64(const struct ThalwegRmspropConfig *config,
                                       double *mean_square,
                                       double *mean,
                                       double *buffer,
                                       double *params,
                                       const double *grad,
                                       size_t n,
                                       struct ThalwegError *error);

// One step of Adagrad.
ThalwegStatus thalweg_adagrad_step_f32(const struct ThalwegAdagradConfig *config,
                                       uint64_t *steps,
                                       float *sum,
                                       float *params,
                                       const float *grad,
                                       size_t n,
                                       struct ThalwegError *error);

// [`thalweg_adagrad_step_f32`] in `f64`.
ThalwegStatus thalweg_adagrad_step_f64(const struct ThalwegAdagradConfig *config,
                                       uint64_t *steps,
                                       double *sum,
                                       double *params,
                                       const double *grad,
                                       size_t n,
                                       struct ThalwegError *error);

// One step of LAMB on one layer.
ThalwegStatus thalweg_lamb_step_f32(const struct ThalwegLambConfig *config,
                                    uint64_t *steps,
                                    float *m,
                                    float *v,
                                    float *params,
                                    const float *grad,
                                    size_t n,
                                    struct ThalwegError *error);

// One step of Muon on one matrix; `workspace` has `thalweg_muon_workspace_len` elements.
ThalwegStatus thalweg_muon_step_f32(const struct ThalwegMuonConfig *config,
                                    size_t rows,
                                    size_t columns,
                                    float *momentum,
                                    float *workspace,
                                    size_t workspace_len,
                                    float *params,
                                    const float *grad,
                                    struct ThalwegError *error);

// One step of Nero on one layer: a matrix, with one element of `mean_square` a row; or with 0 columns a vector of `rows`
ThalwegStatus thalweg_nero_step_f32(const struct ThalwegNeroConfig *config,
                                    uint64_t *steps,
                                    size_t rows,
                                    size_t columns,
                                    float *mean_square,
                                    float *scale,
                                    float *params,
                                    const float *grad,
                                    struct ThalwegError *error);

// Centres the rows of a matrix and scales them to norm 1, as Nero keeps them: to be called before the first gradient is taken.
ThalwegStatus thalweg_nero_project_f32(size_t rows,
                                       size_t columns,
                                       float *params,
                                       struct ThalwegError *error);

// [`thalweg_lamb_step_f32`] in `f64`.
ThalwegStatus thalweg_lamb_step_f64(const struct ThalwegLambConfig *config,
                                    uint64_t *steps,
                                    double *m,
                                    double *v,
                                    double *params,
                                    const double *grad,
                                    size_t n,
                                    struct ThalwegError *error);

// [`thalweg_muon_step_f32`] in `f64`.
ThalwegStatus thalweg_muon_step_f64(const struct ThalwegMuonConfig *config,
                                    size_t rows,
                                    size_t columns,
                                    double *momentum,
                                    double *workspace,
                                    size_t workspace_len,
                                    double *params,
                                    const double *grad,
                                    struct ThalwegError *error);

// [`thalweg_nero_step_f32`] in `f64`.
ThalwegStatus thalweg_nero_step_f64(const struct ThalwegNeroConfig *config,
                                    uint64_t *steps,
                                    size_t rows,
                                    size_t columns,
                                    double *mean_square,
                                    double *scale,
                                    double *params,
                                    const double *grad,
                                    struct ThalwegError *error);

// [`thalweg_nero_project_f32`] in `f64`.
ThalwegStatus thalweg_nero_project_f64(size_t rows, size_t columns, double *params, struct ThalwegError *error);

// Elements of the workspace of `thalweg_muon_step_f32` and `thalweg_muon_step_f64`.
size_t thalweg_muon_workspace_len(size_t rows, size_t columns);

// Scales `grad` down to `max_norm` where its norm is larger; writes the norm before.
ThalwegStatus thalweg_clip_by_norm_f32(float max_norm, float *grad, size_t n, float *norm, struct ThalwegError *error);

// [`thalweg_clip_by_norm_f32`] in `f64`.
ThalwegStatus thalweg_clip_by_norm_f64(double max_norm,
                                       double *grad,
                                       size_t n,
                                       double *norm,
                                       struct ThalwegError *error);

// Values that PermK's client sends at most: `ceil(d/n)`; the share of one client can be one less, or none.
size_t thalweg_perm_k_len(size_t d, size_t clients);

// Room in which TopK runs at full speed; `k` is enough, and the room is never less.
size_t thalweg_top_k_room(size_t d, size_t k);

// Writes the values that `key.client` of `clients` sends of `x`; `room` is at least [`thalweg_perm_k_len`], `sent` receives their number.
ThalwegStatus thalweg_perm_k_compress_f32(const struct ThalwegDrawKey *key,
                                          size_t clients,
                                          const float *x,
                                          size_t d,
                                          float *values,
                                          size_t room,
                                          size_t *sent,
                                          struct ThalwegError *error);

// [`thalweg_perm_k_compress_f32`] in `f64`.
ThalwegStatus thalweg_perm_k_compress_f64(const struct ThalwegDrawKey *key,
                                          size_t clients,
                                          const double *x,
                                          size_t d,
                                          double *values,
                                          size_t room,
                                          size_t *sent,
                                          struct ThalwegError *error);

// `out <- out + C(x)/clients` from the values of `key.client`.
ThalwegStatus thalweg_perm_k_add_f32(const struct ThalwegDrawKey *key,
                                     size_t clients,
                                     const float *values,
                                     size_t sent,
                                     float *out,
                                     size_t d,
                                     struct ThalwegError *error);

// [`thalweg_perm_k_add_f32`] in `f64`.
ThalwegStatus thalweg_perm_k_add_f64(const struct ThalwegDrawKey *key,
                                     size_t clients,
                                     const double *values,
                                     size_t sent,
                                     double *out,
                                     size_t d,
                                     struct ThalwegError *error);

// Writes the `k` values that `key.client` sends of `x`.
ThalwegStatus thalweg_rand_k_compress_f32(const struct ThalwegDrawKey *key,
                                          size_t k,
                                          const float *x,
                                          size_t d,
                                          float *values,
                                          size_t room,
                                          size_t *sent,
                                          struct ThalwegError *error);

// [`thalweg_rand_k_compress_f32`] in `f64`.
ThalwegStatus thalweg_rand_k_compress_f64(const struct ThalwegDrawKey *key,
                                          size_t k,
                                          const double *x,
                                          size_t d,
                                          double *values,
                                          size_t room,
                                          size_t *sent,
                                          struct ThalwegError *error);

// `out <- out + C(x)/clients` from the `k` values of `key.client`.
ThalwegStatus thalweg_rand_k_add_f32(const struct ThalwegDrawKey *key,
                                     size_t clients,
                                     const float *values,
                                     size_t k,
                                     float *out,
                                     size_t d,
                                     struct ThalwegError *error);

// [`thalweg_rand_k_add_f32`] in `f64`.
ThalwegStatus thalweg_rand_k_add_f64(const struct ThalwegDrawKey *key,
                                     size_t clients,
                                     const double *values,
                                     size_t k,
                                     double *out,
                                     size_t d,
                                     struct ThalwegError *error);

// Writes the `k` largest magnitudes of `x` and their coordinates to the first `k` places; `room` is at least `k`, [`thalweg_top_k_room`] for full speed.
ThalwegStatus thalweg_top_k_compress_f32(size_t k,
                                         const float *x,
                                         size_t d,
                                         float *values,
                                         uint32_t *indices,
                                         size_t room,
                                         struct ThalwegError *error);

// [`thalweg_top_k_compress_f32`] in `f64`.
ThalwegStatus thalweg_top_k_compress_f64(size_t k,
                                         const double *x,
                                         size_t d,
                                         double *values,
                                         uint32_t *indices,
                                         size_t room,
                                         struct ThalwegError *error);

// `out <- out + C(x)/clients` from `k` values and coordinates; `out` is untouched unless the coordinates rise strictly below `d`.
ThalwegStatus thalweg_top_k_add_f32(const float *values,
                                    const uint32_t *indices,
                                    size_t k,
                                    size_t clients,
                                    float *out,
                                    size_t d,
                                    struct ThalwegError *error);

// [`thalweg_top_k_add_f32`] in `f64`.
ThalwegStatus thalweg_top_k_add_f64(const double *values,
                                    const uint32_t *indices,
                                    size_t k,
                                    size_t clients,
                                    double *out,
                                    size_t d,
                                    struct ThalwegError *error);

// Rounds each element of `x` to a power of two at random, without bias.
ThalwegStatus thalweg_natural_compress_f32(const struct ThalwegDrawKey *key,
                                           const float *x,
                                           size_t d,
                                           float *values,
                                           size_t room,
                                           size_t *sent,
                                           struct ThalwegError *error);

// [`thalweg_natural_compress_f32`] in `f64`.
ThalwegStatus thalweg_natural_compress_f64(const struct ThalwegDrawKey *key,
                                           const double *x,
                                           size_t d,
                                           double *values,
                                           size_t room,
                                           size_t *sent,
                                           struct ThalwegError *error);

// Writes a frame without values: Hello with its `number` of samples, Round with 1 for a full one, Ack, Drop, Stop.
ThalwegStatus thalweg_frame_write_control(const struct ThalwegFrameHeader *header,
                                          uint64_t number,
                                          uint8_t *out,
                                          size_t room,
                                          size_t *written,
                                          struct ThalwegError *error);

// Checks a whole frame, and writes its fields to `header`.
ThalwegStatus thalweg_frame_read(const uint8_t *bytes,
                                 size_t len,
                                 struct ThalwegFrameHeader *header,
                                 struct ThalwegError *error);

// Writes the number that Hello and Round carry to `number`.
ThalwegStatus thalweg_frame_number(const uint8_t *bytes, size_t len, uint64_t *number, struct ThalwegError *error);

// Writes a frame with values: Model, Estimate, Dense, PermK, RandK, RandSeqK, Natural; `written` receives its length.
ThalwegStatus thalweg_frame_write_values_f32(const struct ThalwegFrameHeader *header,
                                             const float *values,
                                             size_t count,
                                             uint8_t *out,
                                             size_t room,
                                             size_t *written,
                                             struct ThalwegError *error);

// [`thalweg_frame_write_values_f32`] in `f64`.
ThalwegStatus thalweg_frame_write_values_f64(const struct ThalwegFrameHeader *header,
                                             const double *values,
                                             size_t count,
                                             uint8_t *out,
                                             size_t room,
                                             size_t *written,
                                             struct ThalwegError *error);

// Writes a Sparse frame.
ThalwegStatus thalweg_frame_write_sparse_f32(const struct ThalwegFrameHeader *header,
                                             const uint32_t *indices,
                                             const float *values,
                                             size_t k,
                                             uint8_t *out,
                                             size_t room,
                                             size_t *written,
                                             struct ThalwegError *error);

// [`thalweg_frame_write_sparse_f32`] in `f64`.
ThalwegStatus thalweg_frame_write_sparse_f64(const struct ThalwegFrameHeader *header,
                                             const uint32_t *indices,
                                             const double *values,
                                             size_t k,
                                             uint8_t *out,
                                             size_t room,
                                             size_t *written,
                                             struct ThalwegError *error);

// Reads the values of a frame with values; `count` receives their number.
ThalwegStatus thalweg_frame_values_f32(const uint8_t *bytes,
                                       size_t len,
                                       float *values,
                                       size_t room,
                                       size_t *count,
                                       struct ThalwegError *error);

// [`thalweg_frame_values_f32`] in `f64`.
ThalwegStatus thalweg_frame_values_f64(const uint8_t *bytes,
                                       size_t len,
                                       double *values,
                                       size_t room,
                                       size_t *count,
                                       struct ThalwegError *error);

// Reads the coordinates and values of a Sparse frame.
ThalwegStatus thalweg_frame_sparse_f32(const uint8_t *bytes,
                                       size_t len,
                                       uint32_t *indices,
                                       float *values,
                                       size_t room,
                                       size_t *count,
                                       struct ThalwegError *error);

// [`thalweg_frame_sparse_f32`] in `f64`.
ThalwegStatus thalweg_frame_sparse_f64(const uint8_t *bytes,
                                       size_t len,
                                       uint32_t *indices,
                                       double *values,
                                       size_t room,
                                       size_t *count,
                                       struct ThalwegError *error);

// QSGD with some levels; TernGrad has one level of `THALWEG_NORM_MAX`.
struct ThalwegDitheringConfig thalweg_dithering_config(uint32_t levels);

// Writes the `d` signed levels that `key.client` sends of `x`, and the norm that they divide.
ThalwegStatus thalweg_dithering_compress_f32(const struct ThalwegDitheringConfig *config,
                                             const struct ThalwegDrawKey *key,
                                             const float *x,
                                             size_t d,
                                             int32_t *levels,
                                             float *norm,
                                             struct ThalwegError *error);

// [`thalweg_dithering_compress_f32`] in `f64`.
ThalwegStatus thalweg_dithering_compress_f64(const struct ThalwegDitheringConfig *config,
                                             const struct ThalwegDrawKey *key,
                                             const double *x,
                                             size_t d,
                                             int32_t *levels,
                                             double *norm,
                                             struct ThalwegError *error);

// `out <- out + C(x)/clients` from `d` levels and their norm; `out` is untouched if a level is above `config.levels`.
ThalwegStatus thalweg_dithering_add_f32(const struct ThalwegDitheringConfig *config,
                                        const int32_t *levels,
                                        float norm,
                                        size_t clients,
                                        float *out,
                                        size_t d,
                                        struct ThalwegError *error);

// [`thalweg_dithering_add_f32`] in `f64`.
ThalwegStatus thalweg_dithering_add_f64(const struct ThalwegDitheringConfig *config,
                                        const int32_t *levels,
                                        double norm,
                                        size_t clients,
                                        double *out,
                                        size_t d,
                                        struct ThalwegError *error);

// The magnitude that is sent with the signs of `x`: the mean of the magnitudes.
ThalwegStatus thalweg_sign_compress_f32(const float *x, size_t d, float *scale, struct ThalwegError *error);

// [`thalweg_sign_compress_f32`] in `f64`.
ThalwegStatus thalweg_sign_compress_f64(const double *x, size_t d, double *scale, struct ThalwegError *error);

// `out <- out + C(x)/clients` from the magnitude and `d` values of which only the signs count.
ThalwegStatus thalweg_sign_add_f32(float scale,
                                   const float *signs,
                                   size_t clients,
                                   float *out,
                                   size_t d,
                                   struct ThalwegError *error);

// [`thalweg_sign_add_f32`] in `f64`.
ThalwegStatus thalweg_sign_add_f64(double scale,
                                   const double *signs,
                                   size_t clients,
                                   double *out,
                                   size_t d,
                                   struct ThalwegError *error);

// Writes a Sign frame.
ThalwegStatus thalweg_frame_write_sign_f32(const struct ThalwegFrameHeader *header,
                                           float scale,
                                           const float *signs,
                                           size_t d,
                                           uint8_t *out,
                                           size_t room,
                                           size_t *written,
                                           struct ThalwegError *error);

// [`thalweg_frame_write_sign_f32`] in `f64`.
ThalwegStatus thalweg_frame_write_sign_f64(const struct ThalwegFrameHeader *header,
                                           double scale,
                                           const double *signs,
                                           size_t d,
                                           uint8_t *out,
                                           size_t room,
                                           size_t *written,
                                           struct ThalwegError *error);

// Reads a Sign frame: the magnitude, and 1 or -1 for each element; `count` receives their number.
ThalwegStatus thalweg_frame_sign_f32(const uint8_t *bytes,
                                     size_t len,
                                     float *scale,
                                     float *signs,
                                     size_t room,
                                     size_t *count,
                                     struct ThalwegError *error);

// [`thalweg_frame_sign_f32`] in `f64`.
ThalwegStatus thalweg_frame_sign_f64(const uint8_t *bytes,
                                     size_t len,
                                     double *scale,
                                     double *signs,
                                     size_t room,
                                     size_t *count,
                                     struct ThalwegError *error);

// Writes a Dithered or NaturalDithered frame, whose `k` is the number of levels.
ThalwegStatus thalweg_frame_write_dithered_f32(const struct ThalwegFrameHeader *header,
                                               float norm,
                                               const int32_t *levels,
                                               size_t d,
                                               uint8_t *out,
                                               size_t room,
                                               size_t *written,
                                               struct ThalwegError *error);

// [`thalweg_frame_write_dithered_f32`] in `f64`.
ThalwegStatus thalweg_frame_write_dithered_f64(const struct ThalwegFrameHeader *header,
                                               double norm,
                                               const int32_t *levels,
                                               size_t d,
                                               uint8_t *out,
                                               size_t room,
                                               size_t *written,
                                               struct ThalwegError *error);

// Reads a Dithered or NaturalDithered frame: the norm and the levels; `count` receives their number.
ThalwegStatus thalweg_frame_dithered_f32(const uint8_t *bytes,
                                         size_t len,
                                         float *norm,
                                         int32_t *levels,
                                         size_t room,
                                         size_t *count,
                                         struct ThalwegError *error);

// [`thalweg_frame_dithered_f32`] in `f64`.
ThalwegStatus thalweg_frame_dithered_f64(const uint8_t *bytes,
                                         size_t len,
                                         double *norm,
                                         int32_t *levels,
                                         size_t room,
                                         size_t *count,
                                         struct ThalwegError *error);

// Takes as many of `count` bytes as the buffer has room for; `taken` receives their number. The frame that was lent is gone.
ThalwegStatus thalweg_deframer_push(struct ThalwegDeframer *state,
                                    uint8_t *buffer,
                                    size_t len,
                                    const uint8_t *bytes,
                                    size_t count,
                                    size_t *taken,
                                    struct ThalwegError *error);

// Finds the next frame: `size` bytes of the buffer from `at` on, until the next call; `size` is 0 when more bytes are needed. A
ThalwegStatus thalweg_deframer_next(struct ThalwegDeframer *state,
                                    uint8_t *buffer,
                                    size_t len,
                                    size_t *at,
                                    size_t *size,
                                    struct ThalwegError *error);

// Gives up on a frame that has begun and whose rest does not come, after a silence of the line; `begun` receives whether there was one.
ThalwegStatus thalweg_deframer_expire(struct ThalwegDeframer *state,
                                      uint8_t *buffer,
                                      size_t len,
                                      uint32_t *begun,
                                      struct ThalwegError *error);

// A constant step, the Gaussian kernel, the median rule.
struct ThalwegSvgdConfig thalweg_svgd_config(double step_size);

// Elements of state and of scratch that a step of `n` particles in `d` dimensions needs.
ThalwegStatus thalweg_svgd_lengths(const struct ThalwegSvgdConfig *config,
                                   size_t n,
                                   size_t d,
                                   size_t *state,
                                   size_t *scratch,
                                   struct ThalwegError *error);

// Moves `n` particles in `d` dimensions once; `scores` holds `grad log p` at each. `state` may be null for a constant step.
ThalwegStatus thalweg_svgd_step_f32(const struct ThalwegSvgdConfig *config,
                                    uint64_t *steps,
                                    float *state,
                                    float *particles,
                                    const float *scores,
                                    size_t n,
                                    size_t d,
                                    float *scratch,
                                    size_t scratch_len,
                                    struct ThalwegError *error);

// [`thalweg_svgd_step_f32`] in `f64`.
ThalwegStatus thalweg_svgd_step_f64(const struct ThalwegSvgdConfig *config,
                                    uint64_t *steps,
                                    double *state,
                                    double *particles,
                                    const double *scores,
                                    size_t n,
                                    size_t d,
                                    double *scratch,
                                    size_t scratch_len,
                                    struct ThalwegError *error);

// 1e-6 on the variances, as in scikit-learn.
struct ThalwegEmConfig thalweg_em_config(void);

// Lengths of the buffers of a mixture that is fitted to `rows` rows.
ThalwegStatus thalweg_mixture_lengths(const struct ThalwegMixtureShape *shape,
                                      size_t rows,
                                      struct ThalwegMixtureLengths *lengths,
                                      struct ThalwegError *error);

// Standard normal components of equal weight.
ThalwegStatus thalweg_mixture_init_f32(const struct ThalwegMixtureShape *shape,
                                       float *params,
                                       struct ThalwegError *error);

// [`thalweg_mixture_init_f32`] in `f64`.
ThalwegStatus thalweg_mixture_init_f64(const struct ThalwegMixtureShape *shape,
                                       double *params,
                                       struct ThalwegError *error);

// Sets the weights of all components, up to a factor.
ThalwegStatus thalweg_mixture_set_weights_f32(const struct ThalwegMixtureShape *shape,
                                              float *params,
                                              const float *weights,
                                              struct ThalwegError *error);

// [`thalweg_mixture_set_weights_f32`] in `f64`.
ThalwegStatus thalweg_mixture_set_weights_f64(const struct ThalwegMixtureShape *shape,
                                              double *params,
                                              const double *weights,
                                              struct ThalwegError *error);

// Sets mean and covariance of a component, numbered from 0: `dim x dim` numbers or `dim` variances.
ThalwegStatus thalweg_mixture_set_component_f32(const struct ThalwegMixtureShape *shape,
                                                float *params,
                                                size_t component,
                                                const float *mean,
                                                const float *covariance,
                                                double *scratch,
                                                size_t scratch_len,
                                                struct ThalwegError *error);

// [`thalweg_mixture_set_component_f32`] in `f64`.
ThalwegStatus thalweg_mixture_set_component_f64(const struct ThalwegMixtureShape *shape,
                                                double *params,
                                                size_t component,
                                                const double *mean,
                                                const double *covariance,
                                                double *scratch,
                                                size_t scratch_len,
                                                struct ThalwegError *error);

// Log weight and log density of each component at one row; `out` receives `components` numbers.
ThalwegStatus thalweg_mixture_log_joints_f32(const struct ThalwegMixtureShape *shape,
                                             const float *params,
                                             const float *x,
                                             float *out,
                                             struct ThalwegError *error);

// [`thalweg_mixture_log_joints_f32`] in `f64`.
ThalwegStatus thalweg_mixture_log_joints_f64(const struct ThalwegMixtureShape *shape,
                                             const double *params,
                                             const double *x,
                                             double *out,
                                             struct ThalwegError *error);

// Responsibilities of the components for one row, and the log density of the mixture there.
ThalwegStatus thalweg_mixture_responsibilities_f32(const struct ThalwegMixtureShape *shape,
                                                   const float *params,
                                                   const float *x,
                                                   float *out,
                                                   float *log_density,
                                                   struct ThalwegError *error);

// [`thalweg_mixture_responsibilities_f32`] in `f64`.
ThalwegStatus thalweg_mixture_responsibilities_f64(const struct ThalwegMixtureShape *shape,
                                                   const double *params,
                                                   const double *x,
                                                   double *out,
                                                   double *log_density,
                                                   struct ThalwegError *error);

// Mean log-likelihood of `rows` rows; `scratch` holds `components` numbers.
ThalwegStatus thalweg_mixture_mean_log_likelihood_f32(const struct ThalwegMixtureShape *shape,
                                                      const float *params,
                                                      const float *data,
                                                      size_t rows,
                                                      float *scratch,
                                                      double *out,
                                                      struct ThalwegError *error);

// [`thalweg_mixture_mean_log_likelihood_f32`] in `f64`.
ThalwegStatus thalweg_mixture_mean_log_likelihood_f64(const struct ThalwegMixtureShape *shape,
                                                      const double *params,
                                                      const double *data,
                                                      size_t rows,
                                                      double *scratch,
                                                      double *out,
                                                      struct ThalwegError *error);

// One step of expectation maximisation over `rows` rows.
ThalwegStatus thalweg_em_step_f32(const struct ThalwegEmConfig *config,
                                  const struct ThalwegMixtureShape *shape,
                                  float *params,
                                  const float *data,
                                  size_t rows,
                                  double *scratch,
                                  size_t scratch_len,
                                  struct ThalwegEmOutcome *outcome,
                                  struct ThalwegError *error);

// [`thalweg_em_step_f32`] in `f64`.
ThalwegStatus thalweg_em_step_f64(const struct ThalwegEmConfig *config,
                                  const struct ThalwegMixtureShape *shape,
                                  double *params,
                                  const double *data,
                                  size_t rows,
                                  double *scratch,
                                  size_t scratch_len,
                                  struct ThalwegEmOutcome *outcome,
                                  struct ThalwegError *error);

// Two uniform proposals to each of 200 rows, a constant step size of 0.05, temperature 1.
struct ThalwegComponentSelectionConfig thalweg_component_selection_config(uint64_t seed);

// Words of scratch of a step of component selection.
size_t thalweg_component_selection_words(uint64_t batch_size, size_t components);

// Fills the buffers of a state, whose pointers are set: uniform labels, and statistics of the parameters.
ThalwegStatus thalweg_component_selection_init_f32(uint64_t seed,
                                                   const struct ThalwegMixtureShape *shape,
                                                   const float *params,
                                                   struct ThalwegComponentSelectionState *state,
                                                   const float *data,
                                                   size_t rows,
                                                   double *scratch,
                                                   size_t scratch_len,
                                                   struct ThalwegError *error);

// [`thalweg_component_selection_init_f32`] in `f64`.
ThalwegStatus thalweg_component_selection_init_f64(uint64_t seed,
                                                   const struct ThalwegMixtureShape *shape,
                                                   const double *params,
                                                   struct ThalwegComponentSelectionState *state,
                                                   const double *data,
                                                   size_t rows,
                                                   double *scratch,
                                                   size_t scratch_len,
                                                   struct ThalwegError *error);

// One visit of a batch. `words`: [`thalweg_component_selection_words`].
ThalwegStatus thalweg_component_selection_step_f32(const struct ThalwegComponentSelectionConfig *config,
                                                   const struct ThalwegMixtureShape *shape,
                                                   float *params,
                                                   struct ThalwegComponentSelectionState *state,
                                                   const float *data,
                                                   size_t rows,
                                                   uint32_t *words,
                                                   size_t words_len,
                                                   double *scratch,
                                                   size_t scratch_len,
                                                   struct ThalwegComponentSelectionOutcome *outcome,
                                                   struct ThalwegError *error);

// [`thalweg_component_selection_step_f32`] in `f64`.
ThalwegStatus thalweg_component_selection_step_f64(const struct ThalwegComponentSelectionConfig *config,
                                                   const struct ThalwegMixtureShape *shape,
                                                   double *params,
                                                   struct ThalwegComponentSelectionState *state,
                                                   const double *data,
                                                   size_t rows,
                                                   uint32_t *words,
                                                   size_t words_len,
                                                   double *scratch,
                                                   size_t scratch_len,
                                                   struct ThalwegComponentSelectionOutcome *outcome,
                                                   struct ThalwegError *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* THALWEG_H */
