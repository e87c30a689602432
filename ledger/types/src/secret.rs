//! What only an envelope's parties may know: amounts, owners, orders, and rho, which opens a coin's note, custody and tag.
//!
//! What stays true: none of it is printed, and rho is wiped when the last place that holds it lets go of it. Moved or copied by
//! value it may leave a trace; amounts and owners are not wiped, since without rho they open nothing.

/// A log line or a failed assertion shows the type's name and no more.
macro_rules! debug_shows_no_field {
    ($($t:ident),*) => { $(
        impl std::fmt::Debug for $t {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($t)).finish_non_exhaustive()
            }
        }
    )* };
}

macro_rules! wipes_rho {
    ($($t:ident),*) => { $(
        impl Drop for $t {
            fn drop(&mut self) {
                zeroize::Zeroize::zeroize(&mut self.rho);
            }
        }
        impl zeroize::ZeroizeOnDrop for $t {}
    )* };
}

pub(crate) use {debug_shows_no_field, wipes_rho};
