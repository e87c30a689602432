//! A request's body on its way in: when its last byte is here, the request is served.
//!
//! Who sends a body byte by byte would otherwise hold a connection that is closed for nobody, for the whole time of a request.

use crate::connections::{Admitted, Serving};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

pub(crate) struct Arriving {
    body: Incoming,
    served: Served,
}

/// That the request is served, from its last byte on until it is answered.
#[derive(Clone)]
pub(crate) struct Served {
    admitted: Arc<Admitted>,
    state: Arc<Mutex<State>>,
}

enum State {
    Arriving,
    Serving(#[expect(dead_code, reason = "held for what ends with it")] Serving),
    Answered,
}

impl Arriving {
    pub fn new(body: Incoming, admitted: Arc<Admitted>) -> (Arriving, Served) {
        let served = Served { admitted, state: Arc::new(Mutex::new(State::Arriving)) };
        if body.is_end_stream() {
            served.begin();
        }
        (Arriving { body, served: served.clone() }, served)
    }
}

impl Served {
    fn begin(&self) {
        let mut state = self.state.lock().expect("no holder of the state panics");
        // An answer may come before the end of the body: a refusal does not read it.
        if matches!(*state, State::Arriving) {
            *state = State::Serving(self.admitted.serve());
        }
    }

    /// Whether the body had been read to its end before the answer.
    pub fn end(&self) -> bool {
        let mut state = self.state.lock().expect("no holder of the state panics");
        matches!(std::mem::replace(&mut *state, State::Answered), State::Serving(_))
    }
}

impl Body for Arriving {
    type Data = <Incoming as Body>::Data;
    type Error = <Incoming as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.served.begin();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
