// Alerts on what the services of Azure measure of themselves: they fire too when nothing of ours runs. Each has its section in
// docs/runbook.md. What our own telemetry says is in alerts.bicep.

@description('Tags of every resource.')
param tags object

@description('Begins the names.')
param prefix string

@description('Whom it is told.')
param actionGroupId string

@description('The bus.')
param serviceBusId string

@description('The store.')
param cosmosId string

@description('The gateway.')
param gatewayId string

@description('Its tier: each measures its load by a name of its own.')
param gatewayTier 'Developer' | 'StandardV2'

@description('The function apps.')
param apps { name: string, id: string }[]

@description('Request units an hour above which somebody should look; a million cost about a quarter of a dollar, serverless.')
param requestUnitsPerHour int

@description('Gigabyte-seconds an hour of one app above which somebody should look; a hundred thousand cost about 2.60 dollars.')
param gigabyteSecondsPerHour int

@description('Where the runbook can be read.')
param runbook string = 'docs/runbook.md'

var bus = 'Microsoft.ServiceBus/namespaces'
var store = 'Microsoft.DocumentDB/databaseAccounts'
var gateway = 'Microsoft.ApiManagement/service'
var eachEntity = [{ name: 'EntityName', operator: 'Include', values: ['*'] }]

// severity: 0: money or places are at stake, now; 1: people notice; 2: within the day; 3: to know.
var shared = [
  {
    name: 'dead-letters'
    suffix: ''
    severity: 1
    means: 'A queue has messages that nobody could handle.'
    resourceId: serviceBusId
    namespace: bus
    metric: 'DeadletteredMessages'
    aggregation: 'Maximum'
    threshold: 0
    every: 'PT5M'
    window: 'PT5M'
    dimensions: eachEntity
  }
  {
    name: 'stuck-queue'
    suffix: ''
    severity: 1
    means: 'A queue was not empty for a quarter of an hour: nobody takes its messages, or more come than are handled.'
    resourceId: serviceBusId
    namespace: bus
    metric: 'ActiveMessages'
    aggregation: 'Minimum'
    threshold: 0
    every: 'PT5M'
    window: 'PT15M'
    dimensions: eachEntity
  }
  {
    name: 'throttled-bus'
    suffix: ''
    severity: 2
    means: 'Service Bus turns requests away: Standard answers 1,000 operations a second.'
    resourceId: serviceBusId
    namespace: bus
    metric: 'ThrottledRequests'
    aggregation: 'Total'
    threshold: 0
    every: 'PT5M'
    window: 'PT5M'
    dimensions: []
  }
  {
    name: 'throttled-store'
    suffix: ''
    severity: 1
    means: 'Cosmos DB turns requests away (429): a container or one partition is at its limit.'
    resourceId: cosmosId
    namespace: store
    metric: 'TotalRequests'
    aggregation: 'Count'
    threshold: 10
    every: 'PT5M'
    window: 'PT5M'
    dimensions: [{ name: 'StatusCode', operator: 'Include', values: ['429'] }]
  }
  {
    name: 'costly-store'
    suffix: ''
    severity: 3
    means: 'More request units an hour than were expected.'
    resourceId: cosmosId
    namespace: store
    metric: 'TotalRequestUnits'
    aggregation: 'Total'
    threshold: requestUnitsPerHour
    every: 'PT15M'
    window: 'PT1H'
    dimensions: []
  }
  {
    name: 'failing-gateway'
    suffix: ''
    severity: 1
    means: 'The gateway answers 5xx: functions are away or refuse it, or it fails itself.'
    resourceId: gatewayId
    namespace: gateway
    metric: 'Requests'
    aggregation: 'Total'
    threshold: 10
    every: 'PT5M'
    window: 'PT5M'
    dimensions: [{ name: 'GatewayResponseCodeCategory', operator: 'Include', values: ['5xx'] }]
  }
  {
    name: 'busy-gateway'
    suffix: ''
    severity: 2
    means: 'The gateway has little left: requests will wait.'
    resourceId: gatewayId
    namespace: gateway
    metric: gatewayTier == 'Developer' ? 'Capacity' : 'CpuPercent_Gateway'
    aggregation: 'Average'
    threshold: 75
    every: 'PT5M'
    window: 'PT15M'
    dimensions: []
  }
]

var costlyApps = [
  for app in apps: {
    name: 'costly-functions'
    suffix: '-${app.name}'
    severity: 3
    means: 'Functions ran longer in the last hour than was expected.'
    resourceId: app.id
    namespace: 'Microsoft.Web/sites'
    // In megabyte-milliseconds.
    metric: 'OnDemandFunctionExecutionUnits'
    aggregation: 'Total'
    threshold: gigabyteSecondsPerHour * 1024 * 1000
    every: 'PT15M'
    window: 'PT1H'
    dimensions: []
  }
]

resource rules 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for each in concat(shared, costlyApps): {
    name: '${prefix}-${each.name}${each.suffix}'
    location: 'global'
    tags: tags
    properties: {
      description: '${each.means} What to do: ${runbook}#${each.name}'
      severity: each.severity
      enabled: true
      scopes: [each.resourceId]
      evaluationFrequency: each.every
      windowSize: each.window
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: each.name
            metricNamespace: each.namespace
            metricName: each.metric
            timeAggregation: each.aggregation
            operator: 'GreaterThan'
            threshold: each.threshold
            dimensions: each.dimensions
          }
        ]
      }
      autoMitigate: true
      actions: [{ actionGroupId: actionGroupId }]
    }
  }
]
