//! The kernels K1, K4 and K6 behind one call a step.

use super::stats::{StepStats, norm_ratio, step_stats};
use super::window::{Report, Window, compare};
use crate::error::{check, ensure_finite_at};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::{At, Error, Real};

/// Fewest steps of a window.
const LEAST: u64 = 32;

/// What a [`Monitor`] follows.
///
/// ```
/// use thalweg::dynamics::invariant_measure::Observable;
/// assert_eq!(Observable::ALL.len(), 4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Observable {
    /// The minibatch loss.
    Loss,
    /// `<g, g>`.
    GradientSquare,
    /// `<x, g>`.
    ParamsGradient,
    /// `<x, x>`.
    ParamsSquare,
}

impl Observable {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Loss,
        Self::GradientSquare,
        Self::ParamsGradient,
        Self::ParamsSquare,
    ];
}

/// Loss, `<g,g>`, `<x,g>` and `<x,x>` of a run in consecutive windows: 7 kB, whatever the model's size.
///
/// It only reads. A step size that changes invalidates a window: everything is forgotten, and [`resets`](Self::resets)
/// counts it.
///
/// ```
/// use thalweg::dynamics::invariant_measure::Monitor;
/// let mut monitor = Monitor::new(100)?;
/// monitor.observe(0.1, 2.0, &[1.0_f32], &[0.5])?;
/// monitor.observe(0.01, 1.0, &[0.9_f32], &[0.5])?; // the schedule has moved
/// assert_eq!((monitor.resets(), monitor.samples()), (1, 1));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Monitor {
    len: u64,
    learning_rate: f64,
    samples: u64,
    resets: u64,
    steps: u64,
    /// Of each observable: the last complete window but one, the last, the one that is filled.
    windows: [[Window; 3]; 4],
}

impl Monitor {
    /// A monitor of windows of `len` steps; whole epochs where batches are drawn without replacement.
    ///
    /// # Errors
    /// Fewer than 32 steps, which never hold 50 correlation times.
    pub fn new(len: u64) -> Result<Self, Error> {
        check("len", len >= LEAST, "must be at least 32")?;
        Ok(Self {
            len,
            learning_rate: f64::NAN,
            samples: 0,
            resets: 0,
            steps: 0,
            windows: [[Window::new(); 3]; 4],
        })
    }

    /// Takes note of a step before the parameters move: `x_k`, and the gradient that is subtracted from it.
    ///
    /// # Errors
    /// Lengths that differ; a step size that is NaN, infinite or negative; [`Error::NonFinite`] for a loss, parameters or a gradient whose sums are NaN or infinite,
    /// with the number of the step since the monitor was made. Nothing is noted then.
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::Monitor;
    /// let mut monitor = Monitor::new(64)?;
    /// monitor.observe(0.1, 2.0, &[1.0], &[0.5])?;
    /// let error = monitor.observe(0.1, 2.0, &[1.0], &[f64::NAN]).unwrap_err();
    /// assert_eq!(error.to_string(), "`grad` is not finite at step 1"); // the second
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn observe<T: Real>(
        &mut self,
        learning_rate: f64,
        loss: T,
        params: &[T],
        grad: &[T],
    ) -> Result<(), Error> {
        check_rate(learning_rate)?;
        self.note(learning_rate, loss.to_f64(), step_stats(params, grad)?)
    }

    /// Takes note of a step of plain SGD after the parameters have moved: `x_{k+1} = x_k - eta g_k`, and `g_k`.
    ///
    /// For loops that only show what a step has made, such as the server of a protocol. The sums are those of `x_k`:
    /// `<x_k, g> = <x_{k+1}, g> + eta <g, g>`, but for the rounding of the step.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::Monitor;
    /// let (mut before, mut after) = (Monitor::new(32)?, Monitor::new(32)?);
    /// before.observe(0.5, 1.0, &[3.0], &[2.0])?;
    /// after.observe_after(0.5, 1.0, &[2.0], &[2.0])?;
    /// assert_eq!(before, after);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn observe_after<T: Real>(
        &mut self,
        learning_rate: f64,
        loss: T,
        params: &[T],
        grad: &[T],
    ) -> Result<(), Error> {
        check_rate(learning_rate)?;
        let StepStats { gg, tg, tt } = step_stats(params, grad)?;
        let stats = StepStats {
            gg,
            tg: tg + learning_rate * gg,
            tt: tt + 2.0 * learning_rate * tg + learning_rate * learning_rate * gg,
        };
        self.note(learning_rate, loss.to_f64(), stats)
    }

    fn note(&mut self, learning_rate: f64, loss: f64, stats: StepStats) -> Result<(), Error> {
        for (name, value) in [
            ("loss", loss),
            ("grad", stats.gg),
            ("params", stats.tt),
            ("grad", stats.tg),
        ] {
            ensure_finite_at(name, value.is_finite(), At::Step(self.steps))?;
        }
        if self.learning_rate != learning_rate {
            if self.samples > 0 {
                self.resets = self.resets.saturating_add(1);
            }
            self.samples = 0;
            self.windows = [[Window::new(); 3]; 4];
            self.learning_rate = learning_rate;
        }
        let values = [loss, stats.gg, stats.tg, stats.tt];
        for ([before, last, open], value) in self.windows.iter_mut().zip(values) {
            open.push(value);
            if open.samples() == self.len {
                (*before, *last, *open) = (*last, *open, Window::new());
            }
        }
        self.samples = self.samples.saturating_add(1);
        self.steps = self.steps.saturating_add(1);
        Ok(())
    }

    /// Steps seen at the present step size.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// Times that a change of the step size has emptied the windows.
    #[must_use]
    pub const fn resets(&self) -> u64 {
        self.resets
    }

    const fn windows_of(&self, observable: Observable) -> &[Window; 3] {
        let [loss, gg, tg, tt] = &self.windows;
        match observable {
            Observable::Loss => loss,
            Observable::GradientSquare => gg,
            Observable::ParamsGradient => tg,
            Observable::ParamsSquare => tt,
        }
    }

    /// The last complete window of an observable; without samples before the first is complete.
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::{Monitor, Observable};
    /// assert_eq!(Monitor::new(64)?.last(Observable::Loss).mean(), None);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub const fn last(&self, observable: Observable) -> &Window {
        let [_, last, _] = self.windows_of(observable);
        last
    }

    /// The complete window before the last one; without samples before the second is complete.
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::{Monitor, Observable};
    /// let mut monitor = Monitor::new(32)?;
    /// (0..64).try_for_each(|k| monitor.observe(0.1, f64::from(k / 32), &[1.0], &[0.0]))?;
    /// let means = [monitor.before(Observable::Loss), monitor.last(Observable::Loss)].map(|w| w.mean());
    /// assert_eq!(means, [Some(0.0), Some(1.0)]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub const fn before(&self, observable: Observable) -> &Window {
        let [before, _, _] = self.windows_of(observable);
        before
    }

    /// Compares the last two complete windows, at a level of 1 % over the four observables together.
    ///
    /// # Errors
    /// Before the second window is complete.
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::{Monitor, Observable};
    /// let error = Monitor::new(64)?.report(Observable::Loss).unwrap_err();
    /// assert_eq!(error.to_string(), "`samples` must fill two windows at one step size");
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn report(&self, observable: Observable) -> Result<Report, Error> {
        let [before, last, _] = self.windows_of(observable);
        check(
            "samples",
            before.samples() > 0,
            "must fill two windows at one step size",
        )?;
        compare(before, last, Observable::ALL.len())
    }

    /// R1 of plain SGD over the last complete window; nothing without one, or without a gradient.
    #[must_use]
    pub fn norm_ratio(&self) -> Option<f64> {
        let tg = self.last(Observable::ParamsGradient).mean()?;
        let gg = self.last(Observable::GradientSquare).mean()?;
        norm_ratio(self.learning_rate, tg, gg)
    }
}

/// Zero is a step size: schedules begin or end there. NaN would equal no step size, not even itself, and reset the windows at each step.
fn check_rate(learning_rate: f64) -> Result<(), Error> {
    check(
        "learning_rate",
        learning_rate.is_finite() && learning_rate >= 0.0,
        "must be finite and at least 0",
    )
}

/// Four counts, the step size, twelve windows.
const FIELDS: usize = 5 + 12 * Window::FIELDS.len();

fn fields() -> [Field; FIELDS] {
    let mut fields = [Field::U64; FIELDS];
    let windows = Window::FIELDS.iter().cycle();
    for (to, from) in fields.iter_mut().skip(5).zip(windows) {
        *to = *from;
    }
    let [_, _, _, _, learning_rate, ..] = &mut fields;
    *learning_rate = Field::real::<f64>();
    fields
}

impl Snapshot for Monitor {
    fn snapshot_len(&self) -> usize {
        saved_len(&fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, *b"IMMO", 1)?;
        for count in [self.len, self.samples, self.resets, self.steps] {
            writer.u64(count)?;
        }
        writer.real(self.learning_rate)?;
        for window in self.windows.as_flattened() {
            window.write(&mut writer)?;
        }
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"IMMO", 1, &fields())?;
        let mut state = Self {
            len: reader.u64()?,
            samples: reader.u64()?,
            resets: reader.u64()?,
            steps: reader.u64()?,
            learning_rate: reader.real()?,
            windows: [[Window::new(); 3]; 4],
        };
        for window in state.windows.as_flattened_mut() {
            *window = Window::read(&mut reader)?;
        }
        reader.finish()?;
        // Before the first step there is none.
        if state.samples > 0 && check_rate(state.learning_rate).is_err() {
            return Err(SnapshotError::Value {
                name: "learning_rate",
                rule: "must be finite and at least 0",
            });
        }
        // A window that is longer would never be full.
        let windows = state.windows.as_flattened();
        let is_whole = windows.iter().all(|w| w.samples() <= state.len);
        if state.len < LEAST || !is_whole {
            return Err(SnapshotError::Value {
                name: "len",
                rule: "must be at least 32, and no window longer",
            });
        }
        *self = state;
        Ok(())
    }
}
