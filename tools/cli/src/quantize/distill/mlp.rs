//! The MLP and its backward pass: the map, every position alone.

use super::math::activate;
use super::rows::{Gradients, Linear, Rows};
use thumbformer_checkpoint::{Activation, Config, Tensor, Tensors};

/// The map: `down(activation(gate(x)) * up(x))`, or `down(activation(up(x)))`.
#[derive(Clone)]
pub(super) struct Mlp {
    activation: Activation,
    pub(super) gate: Option<Linear>,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

/// Values for the backward pass.
pub(super) struct MlpTape {
    x: Rows,
    gate: Option<Rows>,
    up: Rows,
    hidden: Rows,
}

impl Mlp {
    pub(super) fn new(config: &Config, tensors: &Tensors, layer: usize) -> Mlp {
        Mlp {
            activation: config.options.activation,
            gate: config.options.gated.then(|| Linear::of(tensors, Tensor::Gate, layer)),
            up: Linear::of(tensors, Tensor::Up, layer),
            down: Linear::of(tensors, Tensor::Down, layer),
        }
    }

    pub(super) fn forward(&self, x: Rows) -> (Rows, MlpTape) {
        let up = self.up.forward(&x);
        let gate = self.gate.as_ref().map(|gate| gate.forward(&x));
        let mut hidden = gate.as_ref().unwrap_or(&up).clone();
        hidden.data.iter_mut().for_each(|x| *x = activate(self.activation, *x).0);
        if gate.is_some() {
            hidden.data.iter_mut().zip(&up.data).for_each(|(hidden, up)| *hidden *= up);
        }
        (self.down.forward(&hidden), MlpTape { x, gate, up, hidden })
    }

    pub(super) fn backward(&self, tape: &MlpTape, dy: &Rows, gradients: &mut Gradients) -> Rows {
        let mut d_up = self.down.backward(&tape.hidden, dy, gradients);
        let (Some(linear), Some(gate)) = (&self.gate, &tape.gate) else {
            d_up.data.iter_mut().zip(&tape.up.data).for_each(|(d, &up)| *d *= activate(self.activation, up).1);
            return self.up.backward(&tape.x, &d_up, gradients);
        };
        let mut d_gate = d_up.clone();
        let both = d_gate.data.iter_mut().zip(&mut d_up.data);
        for ((d_gate, d_up), (&gate, &up)) in both.zip(gate.data.iter().zip(&tape.up.data)) {
            let (value, slope) = activate(self.activation, gate);
            *d_gate *= up * slope;
            *d_up *= value;
        }
        let mut dx = linear.backward(&tape.x, &d_gate, gradients);
        dx.add(&self.up.backward(&tape.x, &d_up, gradients));
        dx
    }
}
