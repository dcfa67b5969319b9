// Processes that end with work in flight end cleanly. Each runtime starts processes of its own kind.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('./exiting.js', import.meta.url))

const ended = (home, how) =>
  new Promise((resolve) => {
    const done = (error, out, told) => resolve({ code: error?.code ?? 0, signal: error?.signal ?? null, told: `${out}${told}` })
    execFile(process.execPath, [program, home, how], { timeout: 20_000 }, done)
  })

test('two hundred processes end in the middle of their work, all of them cleanly', { timeout: 300_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'governance-'))
  const ways = ['exit', 'throw', 'close']
  let begun = 0
  const begin = async () => {
    while (begun < 200) {
      const number = begun++
      const how = ways[number % ways.length]
      const { code, signal, told } = await ended(join(folder, `home-${number % 4}`), how)
      assert.deepEqual([code, signal], [how === 'throw' ? 1 : 7, null], `${how}, number ${number}: ${told}`)
      if (how !== 'throw') assert.equal(told, '', `${how}, number ${number}`)
    }
  }
  try {
    await Promise.all([1, 2, 3, 4].map(begin))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('a process that closes nothing ends when it awaits nothing', { timeout: 20_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'governance-'))
  try {
    assert.deepEqual(await ended(join(folder, 'home'), 'leave'), { code: 0, signal: null, told: '' })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
