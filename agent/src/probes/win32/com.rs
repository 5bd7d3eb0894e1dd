//! COM for one thread, and its values as plain data.
//!
//! Holds: what was entered is left on the same thread, after everything that came of it: callers
//! keep the [`Apartment`] before their interfaces.

use crate::probes::com::{ComError, Variant};
use std::marker::PhantomData;
use windows::{
    Win32::System::{
        Com::{CLSCTX_INPROC_SERVER, COINIT_MULTITHREADED, CoCreateInstance, CoInitializeEx, CoUninitialize},
        Variant::{
            VARENUM, VARIANT, VT_BOOL, VT_BSTR, VT_DATE, VT_EMPTY, VT_I2, VT_I4, VT_NULL, VT_UI1, VT_UI2,
            VT_UI4,
        },
    },
    core::{Error, GUID, Interface},
};

pub fn refused(call: &'static str) -> impl FnOnce(Error) -> ComError {
    move |e| ComError { call, code: e.code().0.cast_unsigned() }
}

/// This thread's place in COM, until it is dropped.
#[derive(Debug)]
pub struct Apartment(PhantomData<*const ()>);

impl Apartment {
    pub fn enter() -> Result<Self, ComError> {
        // SAFETY: takes nothing; a success is paid back by `drop` on this same thread, which this
        // value cannot leave.
        let entered = unsafe { CoInitializeEx(None, COINIT_MULTITHREADED) };
        entered.ok().map_err(refused("CoInitializeEx"))?;
        Ok(Self(PhantomData))
    }

    /// Makes an object of a class that runs in this process.
    pub fn create<T: Interface>(&self, call: &'static str, class: &GUID) -> Result<T, ComError> {
        // SAFETY: the thread is in its apartment as long as `self` lives; the class's name lives
        // through the call.
        unsafe { CoCreateInstance(class, None, CLSCTX_INPROC_SERVER) }.map_err(refused(call))
    }
}

impl Drop for Apartment {
    fn drop(&mut self) {
        // SAFETY: entered once, on this thread, and left once.
        unsafe { CoUninitialize() };
    }
}

/// What a VARIANT holds, copied out of it.
pub fn value(of: &VARIANT) -> Variant {
    // SAFETY: the tag says which of the union's forms is there; what it points to is copied at once.
    let (kind, inside) = unsafe { (of.Anonymous.Anonymous.vt, &of.Anonymous.Anonymous.Anonymous) };
    // SAFETY: the same; each form is read under its own tag only.
    unsafe {
        match kind {
            VT_EMPTY | VT_NULL => Variant::Empty,
            VT_BOOL => Variant::Flag(inside.boolVal.as_bool()),
            VT_UI1 => Variant::Integer(inside.bVal.into()),
            VT_I2 => Variant::Integer(inside.iVal.into()),
            VT_UI2 => Variant::Integer(inside.uiVal.into()),
            VT_I4 => Variant::Integer(inside.lVal.into()),
            VT_UI4 => Variant::Integer(inside.ulVal.into()),
            VT_DATE => Variant::Date(inside.date),
            VT_BSTR => Variant::Text(inside.bstrVal.to_string()),
            VARENUM(other) => Variant::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apartment_can_be_entered_again_and_a_class_that_is_not_there_is_an_error() {
        for _ in 0..2 {
            let apartment = Apartment::enter().unwrap();
            let none = GUID::from_u128(0x1234_5678_0000_0000_0000_0000_0000_0001);
            let e = apartment.create::<windows::core::IUnknown>("no such class", &none).unwrap_err();
            assert_eq!(e.to_string(), "no such class failed with 0x80040154");
        }
    }

    #[test]
    fn values_are_copied_by_their_kind() {
        for (of, expected) in [
            (VARIANT::default(), Variant::Empty),
            (VARIANT::from(true), Variant::Flag(true)),
            (VARIANT::from(-7i32), Variant::Integer(-7)),
            (VARIANT::from(0x6_1100u32), Variant::Integer(397_568)),
            (VARIANT::from("1.401.12.0"), Variant::Text("1.401.12.0".to_owned())),
            (VARIANT::from(1.5f64), Variant::Other(5)),
        ] {
            assert_eq!(value(&of), expected);
        }
    }
}
