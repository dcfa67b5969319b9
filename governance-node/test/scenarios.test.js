// The stories of tests/scenarios, told in JavaScript. Runs under `node --test` and under `bun test`.

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import * as governance from '../index.js'

const folder = new URL('../../tests/scenarios/', import.meta.url)
const parsed = (file) => JSON.parse(readFileSync(file, 'utf8'))
const surface = parsed(new URL('../surface.json', folder))
const stories = readdirSync(folder).filter((file) => file.endsWith('.json') && file !== 'elsewhere.json')
const told = new Set()

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())
const classOf = (handle) => handle.constructor.name
const parts = ['opens', 'methods', 'checks', 'streams']
const parametersOf = (kind, method) => parts.map((part) => surface[kind]?.[part]?.[method]).find(Boolean)
const members = Object.entries(surface).flatMap(([kind, all]) =>
  [...parts.flatMap((part) => Object.keys(all[part] ?? {})), ...(all.properties ?? [])].map((member) => [kind, member]),
)

/** Positional arguments, then options, as the surface says. */
function given(kind, method, named) {
  const parameters = parametersOf(kind, method)
  const known = parameters.map((parameter) => parameter.replace('?', ''))
  for (const name of Object.keys(named)) assert.ok(known.includes(name), `${kind}.${method} has no \`${name}\``)
  const options = parameters.filter((name) => name.endsWith('?')).map((name) => name.slice(0, -1))
  const positional = parameters.filter((name) => !name.endsWith('?')).map((name) => named[name])
  const chosen = options.filter((name) => name in named).map((name) => [camel(name), named[name]])
  return chosen.length > 0 ? [...positional, Object.fromEntries(chosen)] : positional
}

async function taken(stream, take) {
  const items = []
  for await (const item of stream) {
    items.push(item)
    if (items.length === take) break
  }
  return items
}

/** A text is what a check answers that the story makes, if it does not pass. */
const made = (said) => (typeof said === 'string' ? () => (said === 'passes' ? undefined : said) : said)

function ask(handle, method, { with: named = {}, take }) {
  const kind = classOf(handle)
  told.add(`${kind}.${method}`)
  if (surface[kind].properties?.includes(method)) return handle[camel(method)]
  assert.ok(parametersOf(kind, method), `${kind}.${method} is not in the surface`)
  if (named.checks) named = { ...named, checks: Object.fromEntries(Object.entries(named.checks).map(([name, said]) => [name, made(said)])) }
  const answer = handle[camel(method)](...given(kind, method, named))
  return surface[kind].streams?.[method] ? taken(answer, take) : answer
}

function matches(found, expected, at) {
  if (Array.isArray(expected)) {
    assert.equal(found?.length, expected.length, `${at}: ${JSON.stringify(found)}`)
    expected.forEach((item, index) => matches(found[index], item, `${at}.${index}`))
  } else if (expected !== null && typeof expected === 'object') {
    assert.ok(found !== null && typeof found === 'object', `${at}: ${JSON.stringify(found)}`)
    for (const [name, value] of Object.entries(expected)) matches(found[name], value, `${at}.${name}`)
  } else {
    assert.equal(found ?? null, expected, at)
  }
}

/** A step's arguments with what was saved before. */
const filled = (value, saved) => {
  if (value === null || typeof value !== 'object') return value
  if ('$saved' in value) return value.$saved.split('.').reduce((from, name) => from[name], saved)
  if (Array.isArray(value)) return value.map((item) => filled(item, saved))
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, filled(item, saved)]))
}

async function tell(story, home) {
  const gov = await governance.Governance.open({ home })
  told.add('Governance.open').add('Governance.close')
  const [handles, saved] = [{ gov }, {}]
  for (const [name, [call, named]] of Object.entries(story.open ?? {})) handles[name] = await ask(gov, call.split('.')[1], { with: named })
  for (const [number, step] of story.steps.entries()) {
    const at = `step ${number + 1}, ${step.call}`
    const [handle, method] = step.call.split('.')
    assert.ok(handles[handle], `${at}: no such handle`)
    const asked = async () => ask(handles[handle], method, { ...step, with: filled(step.with, saved) })
    if (step.fails) {
      const error = await asked().then((answer) => assert.fail(`${at}: it gave ${JSON.stringify(answer)}`), (error) => error)
      assert.ok(error instanceof governance.GovernanceError, `${at}: ${error.stack}`)
      matches({ kind: error.kind, code: error.code }, step.fails, `${at}: ${error.message}`)
      continue
    }
    const answer = await asked().catch((error) => assert.fail(`${at}: ${error.code} ${error.message}\n${error.stack}`))
    if ('gives' in step) matches(answer, step.gives, at)
    if (step.save) saved[step.save] = answer
    if (step.save_as_handle) handles[step.save_as_handle] = answer
  }
  await gov.close()
}

for (const file of stories) {
  const story = parsed(new URL(file, folder))
  test(`${file}: ${story.about}`, async () => {
    const home = mkdtempSync(join(tmpdir(), 'governance-'))
    try {
      await tell(story, join(home, 'home'))
    } finally {
      rmSync(home, { recursive: true, force: true })
    }
  })
}

test('the whole surface is here, and declared', () => {
  const declared = readFileSync(new URL('../index.d.ts', import.meta.url), 'utf8')
  for (const [kind, member] of members) {
    const [found, name] = [governance[kind], camel(member)]
    assert.ok(found, `there is no ${kind}`)
    const on = surface[kind].opens?.[member] ? found : found.prototype
    assert.ok(Object.getOwnPropertyDescriptor(on, name), `${kind} has no ${name}`)
    const written = declared.match(new RegExp(`class ${kind}\\b[^{]*\\{([^]*?)\\n\\}`))?.[1] ?? ''
    assert.match(written, new RegExp(`\\n  (static |readonly )*${name}[(:<]`), `index.d.ts does not declare ${kind}.${name}`)
  }
})

test('every member of the surface occurs in a story, or its test is named', () => {
  const elsewhere = parsed(new URL('elsewhere.json', folder))
  const missing = members.map((pair) => pair.join('.')).filter((member) => !told.has(member) && !elsewhere[member])
  assert.deepEqual(missing, [])
})
