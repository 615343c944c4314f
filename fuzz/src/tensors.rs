//! Tensor files and checkpoints.

use thalweg_std::train::{Group, Optimiser, Tensor, TensorFile, Trainer};

/// What is accepted has tensors that fill its data, and survives being written and read; a trainer takes it over as a whole or not at all.
pub fn check(bytes: &[u8]) {
    let Ok(file) = TensorFile::from_bytes(bytes, "fuzz") else {
        return;
    };
    let names: Vec<&str> = file.names().collect();
    for name in &names {
        // A zero may stand behind sizes whose product is too large.
        let shape = file.shape(name).expect("a shape");
        let elements = shape.iter().fold(1_usize, |n, len| n.wrapping_mul(*len));
        let found = [
            file.values::<f32>(name).map(|values| values.len()),
            file.values::<f64>(name).map(|values| values.len()),
            file.bytes(name).map(<[u8]>::len),
        ];
        assert!(found.iter().flatten().all(|found| *found == elements));
        assert!(found.iter().flatten().count() <= 1);
    }
    let written = file.to_bytes();
    let again = TensorFile::from_bytes(&written, "fuzz").expect("own output");
    assert_eq!(again, file);
    assert_eq!(again.to_bytes(), written);

    let groups = [Group::new("all", Optimiser::adamw())];
    let tensors = [Tensor::new("w", &[2], "all"), Tensor::new("b", &[], "all")];
    let mut trainer = Trainer::<f32>::new(&groups, &tensors).expect("a model");
    let before = trainer.checkpoint(&[7.0; 3], &[]).expect("a checkpoint");
    let mut params = [7.0; 3];
    if trainer.restore(&file, &mut params).is_err() {
        let after = trainer.checkpoint(&params, &[]).expect("a checkpoint");
        assert_eq!(after, before);
    }
}
