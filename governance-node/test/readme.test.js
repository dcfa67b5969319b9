// The quick start of README.md, as it stands there. Runs under `node --test` and under `bun test`, each with its own program.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const blocks = [...readme.matchAll(/```js\n([^]*?)```/g)].map((match) => match[1])

test('what README.md shows is short, and does what it says', { timeout: 60_000 }, async () => {
  assert.ok(blocks.length > 0)
  for (const block of blocks) {
    const folder = mkdtempSync(join(tmpdir(), 'governance-'))
    try {
      assert.ok(block.trim().split('\n').length <= 20, block)
      mkdirSync(join(folder, 'node_modules'))
      symlinkSync(fileURLToPath(new URL('..', import.meta.url)), join(folder, 'node_modules', 'governance'))
      writeFileSync(join(folder, 'quick.mjs'), block)
      // What it prints is what its comments say.
      const said = [...block.matchAll(/console\.log\([^]*?\) \/\/ (.*)/g)].map((match) => match[1])
      // What it leaves behind is in nobody's way: not of the same once more, and not of what begins next.
      const next = "import { Governance } from 'governance'\nconst next = await Governance.open({ home: '.governance' })\nawait next.begin('next')\nfor (const { id, status } of await next.agents()) console.log(id, status)\nawait next.close()\n"
      writeFileSync(join(folder, 'next.mjs'), next)
      for (const _ of [1, 2]) {
        const { stdout, stderr } = await run(process.execPath, ['quick.mjs'], { cwd: folder })
        assert.equal(stderr, '')
        assert.deepEqual(stdout.trim().split('\n'), said)
        const agents = (await run(process.execPath, ['next.mjs'], { cwd: folder })).stdout
        assert.ok(/completed/.test(agents) && !/running|pending/.test(agents), `an agent that never left is lost a minute later: ${agents}`)
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
})
