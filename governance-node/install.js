// Builds what this package needs, when it is not there or older than its sources: `governance.node`, the addon, and `governance`, the program.
//
// The release profile, because what is installed is what runs: a development build is about five times slower. GOVERNANCE_PROFILE=dev builds
// that one instead, in half the time; GOVERNANCE_BUILD=skip builds nothing.

import { spawnSync } from 'node:child_process'
import { closeSync, copyFileSync, existsSync, openSync, readdirSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(here)
const made = { addon: join(here, 'governance.node'), program: join(here, 'governance') }
const library = { darwin: 'libgovernance_node.dylib', win32: 'governance_node.dll' }[process.platform] ?? 'libgovernance_node.so'
const hasSources = existsSync(join(root, 'governance', 'Cargo.toml')) && existsSync(join(here, 'Cargo.toml'))

// npm keeps what scripts say to itself unless they fail: whoever waits minutes at a terminal is told there.
const terminal = (() => {
  try {
    return openSync('/dev/tty', 'w')
  } catch {
    return 2
  }
})()
const say = (line) => writeSync(terminal, `governance: ${line}\n`)

const fail = (...lines) => {
  for (const line of lines) process.stderr.write(`governance: ${line}\n`)
  process.exit(1)
}

/** The newest change below a path. */
const newest = (path) => {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found) return 0
  if (!found.isDirectory()) return found.mtimeMs
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))))
}

const sources = () =>
  Math.max(...['Cargo.toml', 'Cargo.lock', 'governance/Cargo.toml', 'governance/src', 'governance-node/Cargo.toml', 'governance-node/src'].map((path) => newest(join(root, path))))
const oldest = () => Math.min(...Object.values(made).map(newest))

/** Whoever loads the old file keeps it. */
const put = (from, to) => {
  copyFileSync(from, `${to}.new`)
  renameSync(`${to}.new`, to)
}

const has = (command, ...words) => spawnSync(command, words, { stdio: 'ignore' }).status === 0

function build() {
  if (!has('cargo', '--version')) {
    fail(
      oldest() > 0 ? 'what was built is older than its sources, and Rust is missing.' : 'Rust is missing, and nothing was built before.',
      "install it with: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh",
      'then open a new terminal and install this package again.',
    )
  }
  if (!has('cc', '--version')) fail('a C compiler is missing: install it with `apt-get install gcc libc6-dev`, or what your system calls it.')
  const profile = process.env.GOVERNANCE_PROFILE ?? 'release'
  const target = resolve(root, process.env.CARGO_TARGET_DIR ?? 'target')
  say(`building with cargo (${profile}): some minutes the first time, seconds after that`)
  // The features of the whole workspace's build, so that whoever works on it builds dependencies once.
  const words = ['build', '--locked', '--profile', profile, '--target-dir', target, '-p', 'governance', '-p', 'governance-node', '--features', 'governance/cli,governance/redis']
  const built = spawnSync('cargo', words, { cwd: root, stdio: ['ignore', 'inherit', terminal] })
  if (built.status !== 0) fail(`cargo could not build it. To see why: cd ${root} && cargo ${words.join(' ')}`)
  const folder = join(target, profile === 'dev' ? 'debug' : profile)
  put(join(folder, library), made.addon)
  put(join(folder, process.platform === 'win32' ? 'governance.exe' : 'governance'), made.program)
  say('built')
}

if (process.env.GOVERNANCE_BUILD === 'skip') {
  say('GOVERNANCE_BUILD=skip: nothing is built')
} else if (!hasSources) {
  if (oldest() === 0) fail('this was copied without what is built from its sources: run `node governance-node/install.js` in the checkout, then install it again.')
} else if (oldest() < sources()) {
  build()
}
for (const path of Object.values(made)) rmSync(`${path}.new`, { force: true })
if (terminal !== 2) closeSync(terminal)
