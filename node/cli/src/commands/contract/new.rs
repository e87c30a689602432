use crate::outcome::{Failure, Outcome};
#[derive(clap::Args)]
pub struct New {}
impl New {
    pub fn run(self, _json: bool) -> Result<Outcome, Failure> {
        todo!()
    }
}
