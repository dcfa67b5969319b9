// Compiled, never run: the declarations say what callers rely on.

import { type Agent, AGENT_PHASES_ORDERED, type BoardEntry, ConflictError, govern, Governance, type MessageBus, nextPhase, Section, Severity, VIOLATION_SEVERITY_MAP } from 'governance'

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
  for await (const item of board.events({ after: { lineage: 0, position: 0 } })) {
    if (item.gap === undefined) console.log(item.entry.content, item.cursor.position)
  }
  const bus: MessageBus = await governance.bus('caching', 'alpha-1')
  await bus.join({ overflow: 'drop_oldest', redeliverAfter: 1_000 })
  const delivery = await bus.receive({ within: 5_000 })
  if (delivery) await bus.acknowledge(delivery)
  const reserved = await (await governance.budget('alpha-1')).reserve('tokens', 5, 1_000)
  const left: number = reserved.exhausted ? reserved.exhausted.remaining : reserved.amount
  const votes = await governance.consensus('caching', 'alpha-1')
  await votes.propose('p', 'which?', ['x', 'y'], [['alpha-1', 1]], 1_000, { rule: 'majority', sealed: false })
  const outcome = await votes.outcome('p')
  const won: string | null = outcome.outcome === 'decided' ? outcome.option : null
  const intact: boolean = (await governance.ledger.verify()).intact && (await governance.catchUp(left))
  await using agent = await governance.agent('alpha', await governance.begin('an objective'), { tier: 'T1' })
  for await (const step of agent.steps()) {
    const done: boolean = await step.run(async ({ proposal }) => (proposal ? agent.voteBest(proposal) : agent.propose()))
    if (!done) agent.check()
  }
  const reply: string = (await agent.model.chat([{ role: 'user', content: 'why?' }])).content
  const event = await agent.nextEvent()
  if (event?.event === 'budget_low') console.log(event.unit, reply)
  // @ts-expect-error no such option
  await bus.join({ capcity: 5 })
  // @ts-expect-error milliseconds are a number
  await governance.catchUp('soon')
  throw new ConflictError(`${phase} ${severity} ${won} ${intact}`)
}

export async function governed(agent: Agent): Promise<void> {
  const search = govern(async (query: string, limit?: number) => [query, limit], { action: 'web.search', timeout: 1_000 })
  const found: (string | number | undefined)[] = await search('cats', 3)
  const count: number = await agent.govern((text: string) => text.length, { action: 'write_file', targetFrom: 0 })('sandbox-1')
  const pages = agent.govern(async function* (from: number) { yield from }, { action: 'web.search' })
  const said = agent.govern(function* (): Generator<number, string, boolean> { return (yield 1) ? 'yes' : 'no' }, { action: 'web.search' })()
  const piece: IteratorResult<number, string> = await said.next(true)
  for await (const page of pages(count)) console.log(page + 1, found)
  // @ts-expect-error the tool takes a text
  await search(5)
  // @ts-expect-error no action
  govern(() => 1, {})
  const report = await agent.preflight({ inventory: { inventory: { file: 'hosts' } }, ready: async () => 'not yet' }, { within: 1_000 })
  const why: string | undefined = report.checks[0]?.reason
  // @ts-expect-error a check that is none
  await agent.preflight({ ready: why })
  agent.govern(() => 1, { action: 'web.search', risks: ['irreversible'] })
  const inside: Promise<number> = agent.act(async () => 1)
  await inside
}
