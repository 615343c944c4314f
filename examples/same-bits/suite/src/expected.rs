//! Hashes of the cases, from `cargo run --bin same_bits -- --print`.

/// One number a case, in order.
#[rustfmt::skip]
pub const EXPECTED: &[u64] = &[
    0xf7d7bfd0edb3e075, // vector f32
    0xb310de7ae2b082b7, // vector f64
    0x7647da04bb14ae1e, // gemm f32
    0x26af364233c69407, // draws
    0x152a1a06d2ca11a2, // adam f32
    0xfd7a1d4dfec3a359, // quadratic f32
    0x2cf7e79c2171581e, // marina and perm_k
    0x29e28b0189db3247, // marina and rand_k
    0xe9b1d5cc13fadfaa, // ef21 and top_k
    0x2b09c384429ef474, // math f32
    0x85c6640d9b44d55c, // math f64
    0xd9365464bb97fc9d, // gemm f64
    0x63ea48e54012044b, // views f32
    0xd1c403ff1b4a64ca, // views f64
    0x2548afd02eceddd1, // distances f32
    0x418d8df4f2ebb045, // distances f64
    0xe53d7c43b08a408a, // factors f32
    0x7e09f7c653132408, // factors f64
    0x464c61f6bd4dd025, // lanes and permutations
    0xb952d014a096912c, // sgd f32
    0x5192a6afb3474080, // sgd f64
    0x4f40d6363dfe83d9, // adam f64
    0xe6c65b8b38d29b49, // rmsprop f32
    0xac6fdee681191a33, // rmsprop f64
    0x2a2403ebe7720f8f, // adagrad and lion f32
    0xbad5259f494d742a, // adagrad and lion f64
    0xf5a57e81b4d8df2c, // optimisers f32
    0x541af9a8517a7456, // optimisers f64
    0xd416b533560f5dda, // bf16 f32
    0xce93b1713d3d26e9, // bf16 f64
    0x3d333e4b5c13cae4, // clip f32
    0x07b54d72b36ae5af, // clip f64
    0xa4fb0d6a7730c308, // averages f32
    0x9f40e59416810d72, // averages f64
    0xf75c3f7bcba50b49, // schedules
    0x34de0e64fe9bea24, // supports f32
    0x2b1d86b2fa711df3, // supports f64
    0x4d376914673e2f2b, // roundings f32
    0xb4aa94e4b7825b73, // roundings f64
    0x352b04bd9ad2bd75, // memories f32
    0x65ec8ea02d8b4e88, // memories f64
    0x0318f07dde58eabe, // quadratic f64
    0x29652fabacd365bb, // linear and logistic f32
    0xe773a81eb1f12376, // linear and logistic f64
    0xd41b1ad3a00ed1f9, // networks f32
    0x3bffb1446975cac1, // networks f64
    0xd692695ab72fcac0, // autoencoder f32
    0x908927b0a7a0dbb4, // autoencoder f64
    0xe345e195e7c19044, // frames f32
    0x48e9f31b450f1b0e, // frames f64
    0x4804dabd3c9db579, // hostile frames and states
    0x41d4f28074702b67, // fed_avg and natural
    0x9cfe44389e650591, // constants
    0x4c12b48fa8a12c91, // label noise f32
    0xa65175421ae74c97, // label noise f64
    0x1a429dcbae5950fd, // limit of label noise f32
    0x619dbcd3bb7e3d53, // limit of label noise f64
    0x7b1517e35aa37f68, // drift on minimisers f32
    0xc103f6da1b555fb4, // drift on minimisers f64
    0xdcd91ee7ae034945, // particles of a device f32
    0xdc44280e6fbc72c7, // svgd f32
    0x5d606eddae879cc7, // svgd f64
    0x086f38278dc83b63, // stein samplers f32
    0x732e96426437841a, // stein samplers f64
    0x4e29a18a797da02f, // particle chains f32
    0x65d5076034d2c218, // particle chains f64
    0xe489cc391d24a605, // bilevel f32
    0xdcc87bc81ce66610, // bilevel f64
    0x4f5aa6e058548082, // training sums f32
    0x4f5aa6e058548082, // training sums f64
    0x44398d2b46cc6b4d, // windows
    0x211265db1135391b, // curvature f32
    0xf24496b0d264383e, // curvature f64
    0xec03cf520ee48d79, // targets f32
    0x3434d56a988a98f7, // targets f64
    0x3b1b3c936bafc7dc, // checkpoints
    0x1e4f73b2ccfd13f5, // stream
    0xf566eb0bfb30934c, // bilevel networks f32
    0x4332c625dedfb59a, // bilevel networks f64
    0x3ff2512cfa5e0105, // joined windows f32
    0x3ff2512cfa5e0105, // joined windows f64
    0xb9803912613df2bd, // bilevel differences f32
    0x872160a3eeb181f9, // bilevel differences f64
    0xae67b8d1a52f6346, // mixtures f32
    0x97616374f9467719, // mixtures f64
    0xff80d50a32fab46d, // component selection f32
    0x125181cdc62c3c17, // component selection f64
    0x91b947740d0c69f1, // mixture fits f32
    0xa6892ffa075a8d65, // mixture fits f64
    0x11f14ae54a5519fa, // arc-cosine kernels f32
    0x1aa63c3b68f79d04, // arc-cosine kernels f64
    0x4fd77e0869c4a2cf, // wide regression f32
    0x685aa035180da77b, // wide regression f64
    0x1c2ea060fcf56fbc, // sign posteriors
    0x7f4ed48d356431e9, // aggregators f32
    0x6a84999ed35cafef, // aggregators f64
    0xfeefd63f728784cc, // ntk f32
    0xd31ffd212ecc7448, // ntk quantised and shuffled f32
    0x6700c15cc5e89a1f, // fed_nova and fed_prox f32
    0x3e4f144e7b97e74d, // tangent kernels f32
    0xfc4335ec697b1c96, // tangent kernels f64
    0xe37e9919df4d476c, // tangent flows f32
    0xe5c580860ad9bf8f, // tangent flows f64
];
