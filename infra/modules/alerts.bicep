// Alerts that ask the workspace. Each is a query of infra/queries that gives a row where something is wrong, and a section
// of docs/runbook.md that says what to do. What platforms measure of themselves is in metric-alerts.bicep.

@description('Where the rules are.')
param location string

@description('Tags of every resource.')
param tags object

@description('Begins the names.')
param prefix string

@description('The workspace that is asked.')
param workspaceId string

@description('Whom it is told.')
param actionGroupId string

@description('Ask every quarter of an hour at most: a third of the price, for where nobody buys.')
param patient bool

@description('Where the runbook can be read.')
param runbook string = 'docs/runbook.md'

// Windows are longer than the pauses between them, because telemetry arrives minutes late.
// severity: 0: money or places are at stake, now; 1: people notice; 2: within the day; 3: to know.
// splitBy: the column whose values fire one by one. ends: by itself, once the query gives nothing more; otherwise it is told
// again every hour.
var alerts = [
  {
    name: 'oversold'
    severity: 0
    means: 'The audit found shards whose counters do not add up, or differ from their holds: places may be sold twice.'
    query: loadTextContent('../queries/oversold.kql')
    every: 'PT5M'
    window: 'PT15M'
    splitBy: ''
    ends: false
  }
  {
    name: 'failed-requests'
    severity: 1
    means: 'More than one request of a hundred fails (5xx).'
    query: loadTextContent('../queries/failed-requests.kql')
    every: 'PT5M'
    window: 'PT10M'
    splitBy: ''
    ends: true
  }
  {
    name: 'slow-requests'
    severity: 2
    means: 'At an endpoint one request of twenty takes longer than it may.'
    query: loadTextContent('../queries/slow-requests.kql')
    every: 'PT5M'
    window: 'PT15M'
    splitBy: 'Endpoint'
    ends: true
  }
  {
    name: 'late-messages'
    severity: 1
    means: 'A queue\'s messages wait for more than a minute.'
    query: loadTextContent('../queries/late-messages.kql')
    every: 'PT5M'
    window: 'PT15M'
    splitBy: 'Queue'
    ends: true
  }
  {
    name: 'late-events'
    severity: 1
    means: 'The outbox is late: what was sold is not yet known to stock, mail and analytics.'
    query: loadTextContent('../queries/late-events.kql')
    every: 'PT5M'
    window: 'PT15M'
    splitBy: ''
    ends: true
  }
  {
    name: 'slow-settlement'
    severity: 1
    means: 'Who paid waits more than a minute for the tickets.'
    query: loadTextContent('../queries/slow-settlement.kql')
    every: 'PT5M'
    window: 'PT15M'
    splitBy: ''
    ends: true
  }
  {
    name: 'open-breakers'
    severity: 2
    means: 'A neighbour does not answer and is not asked.'
    query: loadTextContent('../queries/open-breakers.kql')
    every: 'PT5M'
    window: 'PT10M'
    splitBy: 'Neighbour'
    ends: true
  }
  {
    name: 'silence'
    severity: 1
    means: 'The timers that run every minute did not run: nothing works, or no telemetry arrives.'
    query: loadTextContent('../queries/silence.kql')
    every: 'PT5M'
    window: 'PT15M'
    splitBy: ''
    ends: true
  }
  {
    name: 'needs-a-person'
    severity: 2
    means: 'Something happened that the product cannot put right by itself.'
    query: loadTextContent('../queries/needs-a-person.kql')
    every: 'PT15M'
    window: 'PT30M'
    splitBy: 'What'
    ends: false
  }
  {
    name: 'lost-telemetry'
    severity: 3
    means: 'Telemetry is lost: figures are too low.'
    query: loadTextContent('../queries/lost-telemetry.kql')
    every: 'PT15M'
    window: 'PT30M'
    splitBy: 'What'
    ends: true
  }
  {
    name: 'full-log'
    severity: 2
    means: 'The workspace takes nothing more today: alerts that ask it are blind.'
    query: loadTextContent('../queries/full-log.kql')
    every: 'PT15M'
    window: 'PT30M'
    splitBy: ''
    ends: true
  }
]

resource rules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for each in alerts: {
    name: '${prefix}-${each.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: '${prefix}: ${each.name}'
      description: '${each.means} What to do: ${runbook}#${each.name}'
      severity: each.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: patient ? 'PT15M' : each.every
      windowSize: patient ? 'PT30M' : each.window
      criteria: {
        allOf: [
          {
            query: each.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            dimensions: empty(each.splitBy) ? [] : [{ name: each.splitBy, operator: 'Include', values: ['*'] }]
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      autoMitigate: each.ends
      muteActionsDuration: each.ends ? null : 'PT1H'
      // A new workspace does not know the tables yet that the queries ask.
      skipQueryValidation: true
      actions: { actionGroups: [actionGroupId] }
    }
  }
]
