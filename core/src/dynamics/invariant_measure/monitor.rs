//! The kernels K1, K4 and K6 behind one call a step.

use super::stats::{norm_ratio, step_stats};
use super::window::{Report, Window, compare};
use crate::error::check;
use crate::{Error, Real};

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
    /// Of each observable: the last complete window but one, the last, the one that is filled.
    windows: [[Window; 3]; 4],
}

impl Monitor {
    /// A monitor of windows of `len` steps; whole epochs where batches are drawn without replacement.
    ///
    /// # Errors
    /// Fewer than 32 steps, which never hold 50 correlation times.
    pub fn new(len: u64) -> Result<Self, Error> {
        check("len", len >= 32, "must be at least 32")?;
        Ok(Self {
            len,
            learning_rate: f64::NAN,
            samples: 0,
            resets: 0,
            windows: [[Window::new(); 3]; 4],
        })
    }

    /// Takes note of a step, before the parameters move.
    ///
    /// # Errors
    /// Lengths that differ; nothing is noted then.
    pub fn observe<T: Real>(
        &mut self,
        learning_rate: f64,
        loss: T,
        params: &[T],
        grad: &[T],
    ) -> Result<(), Error> {
        let stats = step_stats(params, grad)?;
        if self.learning_rate != learning_rate {
            if self.samples > 0 {
                self.resets += 1;
            }
            self.samples = 0;
            self.windows = [[Window::new(); 3]; 4];
            self.learning_rate = learning_rate;
        }
        let values = [loss.to_f64(), stats.gg, stats.tg, stats.tt];
        for ([before, last, open], value) in self.windows.iter_mut().zip(values) {
            open.push(value);
            if open.samples() == self.len {
                (*before, *last, *open) = (*last, *open, Window::new());
            }
        }
        self.samples += 1;
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

    /// The last complete window of an observable; without samples before the first is complete.
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::{Monitor, Observable};
    /// assert_eq!(Monitor::new(64)?.last(Observable::Loss).mean(), None);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub const fn last(&self, observable: Observable) -> &Window {
        let [loss, gg, tg, tt] = &self.windows;
        let [_, last, _] = match observable {
            Observable::Loss => loss,
            Observable::GradientSquare => gg,
            Observable::ParamsGradient => tg,
            Observable::ParamsSquare => tt,
        };
        last
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
        let [loss, gg, tg, tt] = &self.windows;
        let [before, last, _] = match observable {
            Observable::Loss => loss,
            Observable::GradientSquare => gg,
            Observable::ParamsGradient => tg,
            Observable::ParamsSquare => tt,
        };
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
