//! A server whose scripts run under Lua 5.4 and that says it is Dragonfly: a proxy before a real Redis.
//!
//! Everything passes through as it is, but scripts: `EVALSHA` runs here, in Lua 5.4, and each `redis.call` of it goes to the real server as
//! a command of its own. One request is under way at a time, so a script is one step for everybody who comes through here. As
//! documented of Dragonfly: integers stay integers, any other number is sent as Lua writes it (`10/2` is `5.0`), and keys that were
//! not declared are refused (by the guard that the client puts before its scripts, see `RedisOptions`).

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use mlua::{Lua, MultiValue, Value};

/// The proxy. Its threads end with the connections.
pub struct Lua54 {
    /// Where it listens.
    pub port: u16,
}

/// What all connections share: the texts of the scripts by what they are called, and the turn.
#[derive(Default)]
struct Scripts {
    texts: HashMap<String, Vec<u8>>,
}

impl Lua54 {
    /// A proxy before a server's port.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let scripts = Arc::new(Mutex::new(Scripts::default()));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let scripts = scripts.clone();
                std::thread::spawn(move || {
                    let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    serve(client, server, &scripts);
                    let _ = (ends.0.shutdown(Shutdown::Both), ends.1.shutdown(Shutdown::Both));
                });
            }
        });
        Self { port }
    }
}

/// Answers one client's requests, in order.
fn serve(client: TcpStream, server: TcpStream, scripts: &Mutex<Scripts>) -> Option<()> {
    client.set_nodelay(true).ok()?;
    server.set_nodelay(true).ok()?;
    let mut back = client.try_clone().ok()?;
    let mut requests = BufReader::new(client);
    let link = Arc::new(Mutex::new(Link { gone: false, replies: BufReader::new(server.try_clone().ok()?), server }));
    loop {
        let words: Vec<Vec<u8>> = match read(&mut requests)? {
            Reply::List(words) => words.into_iter().filter_map(Reply::text).collect(),
            // Words on a line, as the client begins the protocol's third version.
            Reply::Other(line) => line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect(),
            _ => return None,
        };
        let command = words.first()?.to_ascii_uppercase();
        if command == b"SUBSCRIBE" {
            return listen(&words, &link, requests, back);
        }
        // Held until the answer is there: a script is one step.
        let mut held = scripts.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = match &command[..] {
            b"SCRIPT" => {
                let mut name = std::hash::DefaultHasher::new();
                std::hash::Hash::hash(&words.get(2)?, &mut name);
                let name = format!("{:040x}", std::hash::Hasher::finish(&name));
                held.texts.insert(name.clone(), words.get(2)?.clone());
                Reply::Text(name.into_bytes())
            }
            b"EVALSHA" => match held.texts.get(std::str::from_utf8(words.get(1)?).ok()?).cloned() {
                Some(text) => run(&text, &words[2..], &link),
                None => Reply::Error(b"NOSCRIPT No matching script".to_vec()),
            },
            b"EVAL" => run(words.get(1)?, &words[2..], &link),
            b"INFO" => Reply::Text(b"# Server\r\nredis_version:7.4.0\r\ndragonfly_version:df-v1.0.0\r\n".to_vec()),
            _ => link.lock().unwrap_or_else(PoisonError::into_inner).ask(&words)?,
        };
        drop(held);
        // A server that died took its clients' connections with it.
        if link.lock().unwrap_or_else(PoisonError::into_inner).gone {
            return None;
        }
        back.write_all(&reply.written()).ok()?;
    }
}

/// From the first subscription on, a connection is passed through as it is.
fn listen(first: &[Vec<u8>], link: &Mutex<Link>, mut requests: BufReader<TcpStream>, mut back: TcpStream) -> Option<()> {
    let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
    link.server.write_all(&request(first)).ok()?;
    let mut up = link.server.try_clone().ok()?;
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut requests, &mut up);
        let _ = up.shutdown(Shutdown::Both);
    });
    std::io::copy(&mut link.replies, &mut back).ok().map(drop)
}

/// Runs a script in Lua 5.4, with its commands carried out by the real server.
fn run(text: &[u8], words: &[Vec<u8>], link: &Arc<Mutex<Link>>) -> Reply {
    let ran = || -> mlua::Result<Reply> {
        let lua = Lua::new();
        let count: usize = std::str::from_utf8(&words[0]).ok().and_then(|count| count.parse().ok()).unwrap_or(0);
        let list = |words: &[Vec<u8>]| lua.create_sequence_from(words.iter().map(|word| lua.create_string(word).unwrap()));
        lua.globals().set("KEYS", list(&words[1..=count])?)?;
        lua.globals().set("ARGV", list(&words[1 + count..])?)?;
        let redis = lua.create_table()?;
        for (name, raises) in [("call", true), ("pcall", false)] {
            let link = link.clone();
            let command = move |lua: &Lua, args: MultiValue| {
                let words = args.iter().map(|arg| word(lua, arg)).collect::<mlua::Result<Vec<_>>>()?;
                let reply = link.lock().unwrap_or_else(PoisonError::into_inner).ask(&words);
                match reply.ok_or_else(|| mlua::Error::runtime("the server has gone"))? {
                    Reply::Error(told) if raises => Err(mlua::Error::runtime(String::from_utf8_lossy(&told))),
                    reply => reply.into_lua(lua),
                }
            };
            redis.set(name, lua.create_function(command)?)?;
        }
        lua.globals().set("redis", redis)?;
        Ok(Reply::of(&lua.load(text).eval()?))
    };
    ran().unwrap_or_else(|error| Reply::Error(format!("ERR {}", error.to_string().replace(['\r', '\n'], " ")).into_bytes()))
}

/// An argument of a command, as Lua 5.4 writes it.
fn word(lua: &Lua, value: &Value) -> mlua::Result<Vec<u8>> {
    match lua.coerce_string(value.clone())? {
        Some(text) => Ok(text.as_bytes().to_vec()),
        None => Err(mlua::Error::runtime("Lua redis lib command arguments must be strings or integers")),
    }
}

/// A connection to the real server.
struct Link {
    gone: bool,
    server: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Link {
    fn ask(&mut self, words: &[Vec<u8>]) -> Option<Reply> {
        let reply = self.server.write_all(&request(words)).ok().and_then(|()| read(&mut self.replies));
        self.gone = reply.is_none();
        reply
    }
}

fn request(words: &[Vec<u8>]) -> Vec<u8> {
    Reply::List(words.iter().cloned().map(Reply::Text).collect()).written()
}

/// A value of the protocol. What only its third version has is kept as it came.
enum Reply {
    Null(Vec<u8>),
    Status(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Text(Vec<u8>),
    List(Vec<Self>),
    Other(Vec<u8>),
}

fn read(from: &mut impl BufRead) -> Option<Reply> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line).ok().filter(|read| *read > 2)?;
    let body = line[1..line.len() - 2].to_vec();
    let number = || std::str::from_utf8(&body).ok()?.parse::<i64>().ok();
    Some(match line[0] {
        b'+' => Reply::Status(body),
        b'-' => Reply::Error(body),
        b':' => Reply::Integer(number()?),
        b'_' => Reply::Null(line),
        b'$' | b'*' if number()? < 0 => Reply::Null(line),
        b'$' => {
            let mut text = vec![0; usize::try_from(number()?).ok()? + 2];
            from.read_exact(&mut text).ok()?;
            text.truncate(text.len() - 2);
            Reply::Text(text)
        }
        b'*' => Reply::List((0..number()?).map(|_| read(from)).collect::<Option<_>>()?),
        // Maps: as many pairs.
        b'%' => {
            for _ in 0..2 * number()? {
                line.extend(read(from)?.written());
            }
            Reply::Other(line)
        }
        _ => Reply::Other(line),
    })
}

impl Reply {
    fn text(self) -> Option<Vec<u8>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn written(&self) -> Vec<u8> {
        let line = |sign: char, text: &[u8]| [&[sign as u8], text, b"\r\n"].concat();
        match self {
            Self::Null(raw) | Self::Other(raw) => raw.clone(),
            Self::Status(text) => line('+', text),
            Self::Error(text) => line('-', text),
            Self::Integer(number) => line(':', number.to_string().as_bytes()),
            Self::Text(text) => [line('$', text.len().to_string().as_bytes()), text.clone(), b"\r\n".to_vec()].concat(),
            Self::List(items) => items.iter().fold(line('*', items.len().to_string().as_bytes()), |mut all, item| {
                all.extend(item.written());
                all
            }),
        }
    }

    /// What a script sees.
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let field = |name: &str, text: &[u8]| {
            let table = lua.create_table()?;
            table.set(name, lua.create_string(text)?)?;
            Ok(Value::Table(table))
        };
        match self {
            Self::Null(_) => Ok(Value::Boolean(false)),
            Self::Status(text) => field("ok", &text),
            Self::Error(text) | Self::Other(text) => field("err", &text),
            Self::Integer(number) => Ok(Value::Integer(number)),
            Self::Text(text) => lua.create_string(text).map(Value::String),
            Self::List(items) => {
                let items = items.into_iter().map(|item| item.into_lua(lua)).collect::<mlua::Result<Vec<_>>>()?;
                lua.create_sequence_from(items).map(Value::Table)
            }
        }
    }

    /// What a script answers.
    fn of(value: &Value) -> Self {
        match value {
            Value::Boolean(true) => Self::Integer(1),
            Value::Integer(number) => Self::Integer(*number),
            // Not cut to an integer, as Lua 5.1's servers do.
            Value::Number(number) => Self::Text(format!("{number:?}").into_bytes()),
            Value::String(text) => Self::Text(text.as_bytes().to_vec()),
            Value::Table(table) => match (table.get::<Value>("err"), table.get::<Value>("ok")) {
                (Ok(Value::String(text)), _) => Self::Error(text.as_bytes().to_vec()),
                (_, Ok(Value::String(text))) => Self::Status(text.as_bytes().to_vec()),
                _ => Self::List(table.sequence_values::<Value>().filter_map(Result::ok).map(|item| Self::of(&item)).collect()),
            },
            _ => Self::Null(b"$-1\r\n".to_vec()),
        }
    }
}
