// The addon, and what its errors become.

import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const load = () => {
  try {
    return createRequire(import.meta.url)('./governance.node')
  } catch (cause) {
    const install = fileURLToPath(new URL('./install.js', import.meta.url))
    throw new Error(`governance: the addon cannot be loaded: ${cause.message}\nBuild it: node ${install}`, { cause })
  }
}

export const native = load()

// Receipts of revocations say what a process is written in.
native.nameRuntime(process.versions.bun === undefined ? 'node' : 'bun')

/** The core's own tables: names, maps, error classes, constants. */
export const tables = JSON.parse(native.vocabulary())
