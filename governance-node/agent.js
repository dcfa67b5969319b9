import { Blackboard } from './blackboard.js'
import { ErrorBudget } from './budget.js'
import { MessageBus } from './bus.js'
import { concept } from './concept.js'
import { Consensus } from './consensus.js'
import { act, governed, governing } from './govern.js'
import { Model } from './model.js'
import { preflight } from './preflight.js'
import { Step } from './step.js'

let nativeOf

/** A governed agent that lives in this process. */
export const Agent = concept('Agent', {
  opens: { seated: [] },
  properties: ['id', 'role', 'pipeline', 'tier', 'objective', 'tries'],
  parts: { blackboard: () => Blackboard, bus: () => MessageBus, consensus: () => Consensus, budget: () => ErrorBudget, model: () => Model },
  checks: ['check'],
  methods: {
    phase: [],
    enter: ['phase'],
    output: ['content'],
    outputs: [],
    packet: [],
    package: ['exhibits'],
    demote: ['profile', 'reason'],
    analyse: [],
    propose: [],
    offer: ['name', 'idea'],
    proposals: [],
    evaluate: [],
    combine: [],
    mediate: ['reason'],
    handIn: [],
    requestPlan: ['plan'],
    vote: ['proposal', 'choice'],
    voteBest: ['proposal'],
    nextEvent: [],
    leave: [],
  },
  handles: { nextStep: [() => Step, []] },
  streams: { events: [], steps: [] },
  items: { steps: () => Step },
  own: {
    act: () =>
      function (work) {
        return act(this, work)
      },
    preflight: (held) =>
      function (checks, options) {
        return preflight(held(this), checks, options)
      },
    govern: (held) => {
      nativeOf = held
      return function (tool, options) {
        return governed(tool, options, () => held(this))
      }
    },
  },
  disposal: 'leave',
})

/** Governs a tool for the agent that acts where it is called. */
export const govern = governing((agent) => nativeOf(agent))
