//! What a tool of Python's is called with: by name, as JSON in one spelling only, written without a tree in between.

use std::borrow::Cow;
use std::io::Write;

use ::governance::Error;
use ::governance::guard::Arguments;
use pyo3::PyTypeInfo;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::error::raise;
use crate::{gate, json};

// As deep as serde_json reads.
const MAX_DEPTH: usize = 128;

/// How a tool names what it is called with.
pub struct Parameters {
    /// Those that may stand in order, the first at 0.
    pub positional: Vec<Parameter>,
    /// What is left out at the front: the tool's own object.
    pub skipped: usize,
    /// Which of them can only stand in order.
    pub only_positional: usize,
    /// Those that can only be named.
    pub named: Vec<Parameter>,
    /// What holds those that are too many, as `args` of `*args`.
    pub rest: Option<String>,
    /// What holds names that are not its own, as `kwargs` of `**kwargs`.
    pub others: Option<String>,
}

/// A parameter's name, also as Python has it: a call's names are mostly the very same objects.
pub struct Parameter {
    name: String,
    interned: Py<PyString>,
}

impl Parameter {
    pub fn new(py: Python<'_>, name: String) -> Self {
        let interned = PyString::intern(py, &name).unbind();
        Self { name, interned }
    }
}

impl Parameters {
    /// The parameter that can be given by this name.
    fn taken<'a>(&'a self, name: &Bound<'_, PyString>) -> PyResult<Option<&'a str>> {
        let own = || self.positional[self.only_positional..].iter().chain(&self.named);
        if let Some(same) = own().find(|own| name.is(&own.interned)) {
            return Ok(Some(&same.name));
        }
        let name = json::utf8(name)?;
        Ok(own().find(|own| own.name == name).map(|own| &*own.name))
    }

    /// Whether it has a parameter of this name.
    pub fn has(&self, name: &str) -> bool {
        self.positional.iter().chain(&self.named).any(|own| own.name == name)
    }

    /// The place of a parameter among those that stand in order.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.positional.iter().position(|own| own.name == name)
    }

    /// What a call says, by name.
    pub fn arguments(&self, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Arguments> {
        let py = args.py();
        let mut fields = Vec::with_capacity(args.len() + kwargs.map_or(0, |kwargs| kwargs.len()));
        for (place, value) in args.iter_borrowed().enumerate().skip(self.skipped) {
            match self.positional.get(place) {
                Some(own) => fields.push((Cow::Borrowed(&*own.name), Said::One(value.to_owned()))),
                None if self.rest.is_some() => break,
                None => return Err(PyTypeError::new_err(format!("the tool takes at most {} arguments in order", self.positional.len()))),
            }
        }
        if let (Some(rest), true) = (&self.rest, args.len() > self.positional.len()) {
            let all = args.get_slice(self.positional.len(), args.len()).into_any();
            fields.push((Cow::Borrowed(&**rest), Said::One(all)));
        }
        let mut others = Vec::new();
        for (name, value) in kwargs.into_iter().flatten() {
            let name = name.cast::<PyString>()?;
            match (self.taken(name)?, &self.others) {
                (Some(own), _) => fields.push((Cow::Borrowed(own), Said::One(value))),
                (None, Some(_)) => others.push((Cow::Owned(json::utf8(name)?.to_owned()), Said::One(value))),
                (None, None) => return Err(PyTypeError::new_err(format!("the tool has no argument `{}`", json::utf8(name)?))),
            }
        }
        if let (Some(holds), false) = (&self.others, others.is_empty()) {
            fields.push((Cow::Borrowed(&**holds), Said::Many(others)));
        }
        let mut out = Vec::with_capacity(128);
        object(fields, &mut out, MAX_DEPTH).map_err(|error| error.raise(py))?;
        Ok(Arguments::canonical(String::from_utf8(out).map_err(|_| raise(py, &Error::internal("arguments are not text")))?))
    }
}

type Fields<'a, 'py> = Vec<(Cow<'a, str>, Said<'py>)>;

enum Said<'py> {
    One(Bound<'py, PyAny>),
    Many(Fields<'static, 'py>),
}

/// Why something cannot be said as JSON, and of which argument.
struct Unsaid {
    error: PyErr,
    of: Option<String>,
}

impl From<PyErr> for Unsaid {
    fn from(error: PyErr) -> Self {
        Self { error, of: None }
    }
}

impl Unsaid {
    fn raise(self, py: Python<'_>) -> PyErr {
        let Some(of) = self.of else { return self.error };
        let why = self.error.value(py).to_string();
        let told = format!(
            "the argument `{of}` cannot be recorded: {why}; bind it before the tool is governed, or give it as text, lists or dicts"
        );
        let code = self.error.value(py).getattr("code").and_then(|code| code.extract::<String>()).unwrap_or_default();
        match &*code {
            "not_json" => raise(py, &Error::invalid("not_json", told)),
            "unsteady_argument" => raise(py, &Error::invalid("unsteady_argument", told)),
            _ => self.error,
        }
    }
}

type Put = Result<(), Unsaid>;

fn object(mut fields: Fields<'_, '_>, out: &mut Vec<u8>, depth: usize) -> Put {
    fields.sort_unstable_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
    if let Some(twice) = fields.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(PyTypeError::new_err(format!("the argument `{}` is given twice", twice[0].0)).into());
    }
    out.push(b'{');
    for (at, (name, value)) in fields.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        text(&name, out);
        out.push(b':');
        match value {
            Said::One(value) => put(&value, out, depth - 1).map_err(|failed| Unsaid { of: Some(name.into_owned()), ..failed })?,
            Said::Many(fields) => object(fields, out, depth - 1)?,
        }
    }
    out.push(b'}');
    Ok(())
}

fn text(text: &str, out: &mut Vec<u8>) {
    // A vector takes everything.
    let _ = serde_json::to_writer(out, text);
}

fn put(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: usize) -> Put {
    let py = value.py();
    let depth = depth.checked_sub(1).ok_or_else(|| json::refuse(py, "is nested too deeply"))?;
    if value.is_none() {
        out.extend_from_slice(b"null");
    } else if let Ok(said) = value.cast::<PyString>() {
        steady(said)?;
        text(json::utf8(said)?, out);
    } else if let Ok(truth) = value.cast::<PyBool>() {
        out.extend_from_slice(if truth.is_true() { b"true" } else { b"false" });
    } else if let Ok(whole) = value.cast::<PyInt>() {
        steady(whole)?;
        let _ = match value.extract::<i64>() {
            Ok(whole) => write!(out, "{whole}"),
            Err(_) => write!(out, "{}", value.extract::<u64>().map_err(|_| json::too_long(py))?),
        };
    } else if let Ok(number) = value.cast::<PyFloat>() {
        steady(number)?;
        let number = number.value();
        if !number.is_finite() {
            return Err(json::refuse(py, "holds a number that JSON lacks").into());
        }
        let _ = serde_json::to_writer(out, &number);
    } else if let Ok(dict) = value.cast::<PyDict>() {
        steady(dict)?;
        let field = |(key, value): (Bound<'_, PyAny>, _)| match key.cast::<PyString>() {
            Ok(key) => steady(key).and_then(|()| Ok((Cow::Owned(json::utf8(key)?.to_owned()), Said::One(value)))),
            Err(_) => Err(json::refuse(py, "has a key that is not a text")),
        };
        let fields = dict.iter().map(field).collect::<PyResult<_>>()?;
        object(fields, out, depth)?;
    } else if let Ok(list) = value.cast::<PyList>() {
        steady(list)?;
        items(list.iter(), out, depth)?;
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        steady(tuple)?;
        items(tuple.iter(), out, depth)?;
    } else if let Ok(bytes) = value.cast::<PyBytes>() {
        steady(bytes)?;
        // As hexadecimal text under a name of its own: bytes are no text, and two kinds of the same length differ.
        out.extend_from_slice(b"{\"bytes\":\"");
        for byte in bytes.as_bytes() {
            let _ = write!(out, "{byte:02x}");
        }
        out.extend_from_slice(b"\"}");
    } else if let Some(path) = value.getattr_opt("__fspath__")? {
        unless_wavering(value)?;
        put(&path.call0()?, out, depth)?;
    } else if let Some(plain) = json::plain(value)? {
        unless_wavering(value)?;
        put(&plain, out, depth)?;
    } else if let Some((said,)) = standard(value)? {
        put(&said, out, depth)?;
    } else {
        return Err(json::refuse(py, &format!("holds a `{}`, which JSON lacks", value.get_type().name()?)).into());
    }
    Ok(())
}

/// What a date, an enum and so on are written as.
fn standard<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<(Bound<'py, PyAny>,)>> {
    static SAID: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    let _inside = gate::enter(py).map_err(|error| raise(py, &error))?;
    SAID.import(py, "governance._steady", "said")?.call1((value,))?.extract()
}

/// Refuses what may read differently when the tool reads it: then that is not what was decided on.
pub fn steady<T: PyTypeInfo>(value: &Bound<'_, T>) -> PyResult<()> {
    if value.as_any().is_exact_instance_of::<T>() { Ok(()) } else { unless_wavering(value.as_any()) }
}

fn unless_wavering(value: &Bound<'_, PyAny>) -> PyResult<()> {
    static WAVERING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    let _inside = gate::enter(py).map_err(|error| raise(py, &error))?;
    let by = WAVERING.import(py, "governance._steady", "wavering")?.call1((value,))?;
    if by.is_none() {
        return Ok(());
    }
    let told = format!("can read differently each time, by `{by}` of its class `{}`", value.get_type().name()?);
    Err(raise(py, &Error::invalid("unsteady_argument", format!("the value {told}"))))
}

fn items<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>, out: &mut Vec<u8>, depth: usize) -> Put {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        put(&item, out, depth)?;
    }
    out.push(b']');
    Ok(())
}
