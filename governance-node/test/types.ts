// Compiled, never run: the declarations say what callers rely on.

import { AGENT_PHASES_ORDERED, type BoardEntry, ConflictError, Governance, nextPhase, Section, Severity, VIOLATION_SEVERITY_MAP } from 'governance'

export async function used(): Promise<BoardEntry[]> {
  await using governance = await Governance.open({ home: '.governance', store: 'memory:' })
  const board = await governance.blackboard('caching', 'alpha-1')
  const written = await board.putIf(Section.SOLUTIONS, 'write-through', { ttl: [60, null] }, 0)
  const version: number = written.accepted ?? written.conflict
  const phase: 'BOOTSTRAP' | 'REVOKED' | string | null = nextPhase(AGENT_PHASES_ORDERED[0] ?? 'EXIT')
  const severity: Severity = VIOLATION_SEVERITY_MAP.lock_lost
  // @ts-expect-error a section that is not one
  await board.entries('opinions')
  // @ts-expect-error JSON has no functions
  await board.post('problem', 'plan', { run: () => version })
  // @ts-expect-error made by `open` only
  new Governance()
  throw new ConflictError(`${phase} ${severity}`)
}
