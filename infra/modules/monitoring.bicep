// What watches the rest: the workspace, Application Insights in it, and whom alerts are told. No keys: who sends has a role.

@description('Where telemetry is kept.')
param location string

@description('Tags of every resource.')
param tags object

@description('Begins the names.')
param prefix string

@description('Days that telemetry is kept; the first 31 cost nothing more.')
@minValue(30)
@maxValue(730)
param retentionDays int

@description('Gigabytes a day, after which nothing more is taken until the next: a bound on what a flood may cost.')
@minValue(1)
param dailyCapGb int

@description('Who gets the alerts.')
param alertMail string

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-${prefix}'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionDays
    workspaceCapping: { dailyQuotaGb: dailyCapGb }
    features: { disableLocalAuth: true, enableLogAccessUsingOnlyResourcePermissions: true }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${prefix}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    IngestionMode: 'LogAnalytics'
    DisableLocalAuth: true
    // Callers' addresses are masked on arrival, which is the default; nobody here needs them.
    DisableIpMasking: false
  }
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${prefix}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: take(replace(prefix, '-', ''), 12)
    enabled: true
    emailReceivers: [{ name: 'operators', emailAddress: alertMail, useCommonAlertSchema: true }]
  }
}

@description('The id of the workspace.')
output workspaceId string = workspace.id

@description('Under which the query API knows it.')
output workspaceCustomerId string = workspace.properties.customerId

@description('The id of Application Insights.')
output insightsId string = insights.id

@description('Its name.')
output insightsName string = insights.name

@description('Under which its query API knows it.')
output insightsAppId string = insights.properties.AppId

@description('Where telemetry is sent. It lets nobody in: who sends needs a role.')
output connectionString string = insights.properties.ConnectionString

@description('The action group: whom alerts are told.')
output actionGroupId string = people.id
