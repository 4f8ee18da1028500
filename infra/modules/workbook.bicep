// The workbook: an on-sale at a glance. Its panels ask the queries of infra/queries, in the range that is chosen above them.

@description('Where it is kept.')
param location string

@description('Tags of every resource.')
param tags object

@description('How people find it.')
param title string

@description('The workspace it asks.')
param workspaceId string

@description('The bus.')
param serviceBusId string

@description('The store.')
param cosmosId string

var range = 'range'

// width: the share of a row, in percent.
var panels = [
  { title: 'Sales a minute', query: loadTextContent('../queries/sales.kql'), shown: 'timechart', width: '50' }
  { title: 'Taken', query: loadTextContent('../queries/takings.kql'), shown: 'table', width: '50' }
  { title: 'Best sellers', query: loadTextContent('../queries/best-sellers.kql'), shown: 'table', width: '50' }
  { title: 'Places: refused, repaired, wrong', query: loadTextContent('../queries/holds.kql'), shown: 'timechart', width: '50' }
  { title: 'Milliseconds a request', query: loadTextContent('../queries/latency.kql'), shown: 'timechart', width: '50' }
  { title: 'Calls by outcome', query: loadTextContent('../queries/outcomes.kql'), shown: 'timechart', width: '50' }
  { title: 'Endpoints', query: loadTextContent('../queries/endpoints.kql'), shown: 'table', width: '50' }
  { title: 'Refusals', query: loadTextContent('../queries/refusals.kql'), shown: 'table', width: '50' }
  { title: 'Answers of the gateway', query: loadTextContent('../queries/gateway-answers.kql'), shown: 'table', width: '50' }
  { title: 'Seconds to paid, and to the bus', query: loadTextContent('../queries/waits.kql'), shown: 'timechart', width: '50' }
  { title: 'Seconds on the queues', query: loadTextContent('../queries/queues.kql'), shown: 'timechart', width: '50' }
  { title: 'Dead letters', query: loadTextContent('../queries/dead-letters.kql'), shown: 'table', width: '33' }
  { title: 'Money', query: loadTextContent('../queries/money.kql'), shown: 'table', width: '33' }
  { title: 'Needs a person', query: loadTextContent('../queries/needs-a-person.kql'), shown: 'table', width: '33' }
  { title: 'Request units by container', query: loadTextContent('../queries/request-units.kql'), shown: 'timechart', width: '50' }
  { title: 'Costly calls', query: loadTextContent('../queries/costly-calls.kql'), shown: 'table', width: '50' }
  { title: 'Mails', query: loadTextContent('../queries/mails.kql'), shown: 'timechart', width: '50' }
  { title: 'Neighbours', query: loadTextContent('../queries/neighbours.kql'), shown: 'table', width: '50' }
  { title: 'Instances', query: loadTextContent('../queries/instances.kql'), shown: 'timechart', width: '50' }
  { title: 'Failures', query: loadTextContent('../queries/failures.kql'), shown: 'table', width: '50' }
  { title: 'Warnings and errors', query: loadTextContent('../queries/logged-errors.kql'), shown: 'table', width: '50' }
  { title: 'Counted against recorded', query: loadTextContent('../queries/sold-against-paid.kql'), shown: 'table', width: '50' }
  { title: 'Megabytes of telemetry', query: loadTextContent('../queries/ingestion.kql'), shown: 'table', width: '50' }
]

var store = 'microsoft.documentdb/databaseaccounts'
var bus = 'microsoft.servicebus/namespaces'
// metric: as workbooks name it: namespace, category, metric. aggregation: 3: maximum, 7: count.
var metrics = [
  {
    title: 'Answers of Cosmos DB, by status'
    resourceId: cosmosId
    metric: '${store}-Requests-TotalRequests'
    namespace: store
    aggregation: 7
    splitBy: 'StatusCode'
  }
  {
    title: 'Messages on queues'
    resourceId: serviceBusId
    metric: '${bus}--ActiveMessages'
    namespace: bus
    aggregation: 3
    splitBy: 'EntityName'
  }
]

var head = [
  { type: 1, name: 'title', content: { json: '## ${title}\nWhat to do when something looks wrong: docs/runbook.md.' } }
  {
    type: 9
    name: 'parameters'
    content: {
      version: 'KqlParameterItem/1.0'
      style: 'pills'
      parameters: [
        {
          id: guid(workspaceId, range)
          version: 'KqlParameterItem/1.0'
          name: range
          label: 'Range'
          type: 4
          isRequired: true
          value: { durationMs: 3600000 }
          typeSettings: {
            selectableValues: map([900, 3600, 14400, 86400, 604800], seconds => { durationMs: seconds * 1000 })
            allowCustom: true
          }
        }
      ]
    }
  }
]

var queried = [
  for (each, i) in panels: {
    type: 3
    name: 'query ${i}'
    customWidth: each.width
    content: {
      version: 'KqlItem/1.0'
      title: each.title
      query: each.query
      size: 0
      queryType: 0
      resourceType: 'microsoft.operationalinsights/workspaces'
      crossComponentResources: [workspaceId]
      timeContextFromParameter: range
      visualization: each.shown
    }
  }
]

var charted = [
  for (each, i) in metrics: {
    type: 10
    name: 'metric ${i}'
    customWidth: '50'
    content: {
      chartId: 'metric${i}'
      version: 'MetricsItem/2.0'
      title: each.title
      size: 0
      chartType: 2
      resourceType: each.namespace
      metricScope: 0
      resourceIds: [each.resourceId]
      timeContextFromParameter: range
      metrics: [
        { namespace: each.namespace, metric: each.metric, aggregation: each.aggregation, splitBy: each.splitBy }
      ]
      gridSettings: { rowLimit: 10000 }
    }
  }
]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(workspaceId, 'on-sale')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: title
    category: 'workbook'
    sourceId: workspaceId
    version: 'Notebook/1.0'
    serializedData: string({ version: 'Notebook/1.0', items: concat(head, queried, charted), fallbackResourceIds: [workspaceId] })
  }
}

@description('The id of the workbook.')
output id string = workbook.id
