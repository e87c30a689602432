//! What an economist should know of a policy that is well formed: LANGUAGE.md, A.

use crate::check::Places;
use crate::diagnostic::Finding;
use crate::policy::Policy;

pub(crate) fn findings(_policy: &Policy, _places: &Places) -> Vec<Finding> {
    Vec::new()
}
