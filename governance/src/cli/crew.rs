//! Which agents a run has: the built-in ones, processes, or programs of one's own.

use super::args::{Agents, How};
use super::polyglot::polyglot;
use super::printer::Printer;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::orchestrator::{AgentRuntime, PROCESS, Program, Runtimes};
use crate::vocabulary::AgentRole;

/// What runs the agents: by `--agent`, then by `--agents`, then by `config.toml`.
pub async fn runtimes(config: &Config, how: &How, printer: &Printer) -> Result<Runtimes> {
    let mut runtimes = Runtimes { model: config.model.clone(), ..Runtimes::default() };
    match how.agents {
        // What the command line says holds for every role.
        Some(Agents::BuiltIn) => {}
        Some(Agents::Process) => {
            let program = Program::new(super::program()?).args(["agent"]).named(PROCESS)?;
            runtimes.roles = AgentRole::ALL.iter().map(|role| (*role, AgentRuntime::Process(program.clone()))).collect();
        }
        Some(Agents::Polyglot) => runtimes.roles = polyglot(printer).await?,
        None => {
            for (role, settings) in &config.agents {
                runtimes.roles.extend(settings.program()?.map(|program| (*role, AgentRuntime::Process(program))));
            }
        }
    }
    for Named { role, command } in &how.agent {
        let (program, arguments) = command.split_first().ok_or_else(|| Error::internal("an empty command was accepted"))?;
        runtimes.roles.insert(*role, AgentRuntime::Process(Program::new(program).args(arguments)));
    }
    for (role, runtime) in &mut runtimes.roles {
        if let (AgentRuntime::Process(program), Some(settings)) = (runtime, config.agents.get(role)) {
            *program = settings.limit(program.clone());
        }
    }
    Ok(runtimes)
}

/// An agent that the command line names: `ROLE=COMMAND`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub role: AgentRole,
    pub command: Vec<String>,
}

/// Reads `ROLE=COMMAND`; the command's words are split as a shell does.
pub fn named(text: &str) -> Result<Named, String> {
    let wrong = || format!("`{text}` is not ROLE=COMMAND, as `alpha=python3 alpha.py`");
    let (role, command) = text.split_once('=').ok_or_else(wrong)?;
    let role = role.parse().map_err(|error: Error| error.to_string())?;
    let command = shlex::split(command).ok_or_else(|| format!("a quote in `{command}` is not closed"))?;
    if command.first().is_none_or(String::is_empty) || text.contains('\0') {
        return Err(wrong());
    }
    Ok(Named { role, command })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_command_is_split_as_a_shell_does() {
        let found = named("beta=bun run 'my agent.ts' --x=1").unwrap();
        assert_eq!((found.role, found.command.join("|")), (AgentRole::Beta, "bun|run|my agent.ts|--x=1".to_owned()));
        for bad in ["alpha", "alpha=", "delta=x", "alpha='x", "alpha=''"] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }
}
