// The addon, and what its errors become.

import { createRequire } from 'node:module'

export const native = createRequire(import.meta.url)('./governance.node')

/** The core's own tables: names, maps, error classes, constants. */
export const tables = JSON.parse(native.vocabulary())
