//! A method that reads its arguments where the interpreter has them.
//!
//! The macros of `PyO3` give a method with `**extra` a dict of all its keyword arguments. Building that dict takes longer
//! than logging a row. This calling convention (`METH_FASTCALL | METH_KEYWORDS`, in the stable ABI since
//! 3.10) passes an array of the values and a tuple of the names, and nothing is built.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use pyo3::{Borrowed, PyClass, PyTypeInfo as _};
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

/// A method of a class of this module.
pub(crate) trait FastMethod {
    /// Its class.
    type Class: PyClass;

    const NAME: &'static str;

    /// What `inspect.signature` and `help` show: `NAME($self, …)`, a line with `--`, an empty line, and text.
    fn doc() -> String;

    /// # Errors
    /// What the call raises.
    fn call<'py>(
        this: Borrowed<'_, 'py, Self::Class>,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>>;
}

/// The arguments of one call, which the caller owns.
pub(crate) struct Arguments<'a, 'py> {
    py: Python<'py>,
    /// First those without a name.
    values: &'a [*mut ffi::PyObject],
    names: Option<Borrowed<'a, 'py, PyTuple>>,
}

impl<'a, 'py> Arguments<'a, 'py> {
    pub(crate) fn py(&self) -> Python<'py> {
        self.py
    }

    /// How many have a name.
    pub(crate) fn keyword_count(&self) -> usize {
        self.names.map_or(0, |names| names.len())
    }

    fn positional_count(&self) -> usize {
        self.values.len() - self.keyword_count()
    }

    /// The arguments without a name.
    pub(crate) fn positional(&self) -> impl ExactSizeIterator<Item = Borrowed<'a, 'py, PyAny>> {
        let py = self.py;
        // SAFETY: the interpreter keeps the arguments of a call alive until it returns, which is beyond `'a`.
        let borrowed = move |value: &*mut _| unsafe { Borrowed::from_ptr(py, *value) };
        self.values[..self.positional_count()].iter().map(borrowed)
    }

    /// The names, which are texts, and values of the others.
    pub(crate) fn keywords(
        &self,
    ) -> impl Iterator<Item = (Borrowed<'a, 'py, PyAny>, Borrowed<'a, 'py, PyAny>)> {
        let py = self.py;
        // SAFETY: as above.
        let borrowed = move |value: &*mut _| unsafe { Borrowed::from_ptr(py, *value) };
        let values = self.values[self.positional_count()..].iter().map(borrowed);
        let names = self.names.into_iter().flat_map(BorrowedNames::new);
        names.zip(values)
    }
}

/// The elements of a tuple, for as long as the tuple is borrowed.
struct BorrowedNames<'a, 'py> {
    names: Borrowed<'a, 'py, PyTuple>,
    at: usize,
}

impl<'a, 'py> BorrowedNames<'a, 'py> {
    fn new(names: Borrowed<'a, 'py, PyTuple>) -> Self {
        Self { names, at: 0 }
    }
}

impl<'a, 'py> Iterator for BorrowedNames<'a, 'py> {
    type Item = Borrowed<'a, 'py, PyAny>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the tuple is alive for `'a`, and so are its elements, which never change; past the end it is null and
        // sets an error, which the check before avoids.
        let name = unsafe {
            let names = self.names.as_ptr();
            if self.at as ffi::Py_ssize_t >= ffi::PyTuple_Size(names) {
                return None;
            }
            Borrowed::from_ptr(self.names.py(), ffi::PyTuple_GetItem(names, self.at.cast_signed()))
        };
        self.at += 1;
        Some(name)
    }
}

/// Adds the method to its class. Once for each method: what it allocates is never freed.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn add<M: FastMethod>(py: Python<'_>) -> PyResult<()> {
    let text = |text: String| CString::new(text).expect("our texts have no zero byte").into_raw();
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: text(M::NAME.into()),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: call::<M> },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: text(M::doc()),
    }));
    let class: Bound<'_, PyType> = M::Class::type_object(py);
    // SAFETY: the class is alive and this thread is attached; the definition and its texts live forever, and the function
    // has the signature that its flags say.
    let method = unsafe {
        let method = ffi::PyDescr_NewMethod(class.as_type_ptr(), definition);
        Bound::from_owned_ptr_or_err(py, method)?
    };
    class.setattr(M::NAME, method)
}

/// What the interpreter calls.
///
/// # Safety
/// `values` points to `count` objects and as many more as `names` has; `names` is null or a tuple of texts. All of them are
/// alive until it returns. The thread is attached.
// SAFETY: called by the interpreter only, through the definition above.
unsafe extern "C" fn call<M: FastMethod>(
    this: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let called = catch_unwind(AssertUnwindSafe(|| {
        // This thread is attached already; this tells PyO3, which refuses while the interpreter ends.
        Python::try_attach(|py| {
            // SAFETY: see above.
            let (this, arguments) = unsafe {
                let names = Borrowed::from_ptr_or_opt(py, names);
                let names = names.map(|names| names.cast_unchecked::<PyTuple>());
                let all = count.unsigned_abs() + names.map_or(0, |names| names.len());
                let values: &[*mut ffi::PyObject] =
                    if all == 0 { &[] } else { slice::from_raw_parts(values, all) };
                (Borrowed::from_ptr(py, this), Arguments { py, values, names })
            };
            let this = this.cast::<M::Class>().map_err(PyErr::from);
            match this.and_then(|this| M::call(this, &arguments)) {
                Ok(object) => object.into_ptr(),
                Err(raised) => {
                    raised.restore(py);
                    ptr::null_mut()
                }
            }
        })
    }));
    let what = match called {
        Ok(Some(returned)) => return returned,
        Ok(None) => c"the interpreter is ending, and qstore takes no calls any more",
        Err(_) => c"a call of qstore panicked; the message is in the standard error output",
    };
    // SAFETY: this thread is attached, whatever PyO3 says, because the interpreter made this call.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_RuntimeError, what.as_ptr()) };
    ptr::null_mut()
}
