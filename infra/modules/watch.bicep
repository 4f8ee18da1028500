// Everything that watches the rest: alerts, the workbook, the log of who changed what, the budget.

import { environmentName, usualUse } from '../environments.bicep'

@description('Where the rules are.')
param location string

@description('Tags of every resource.')
param tags object

@description('Begins the names.')
param prefix string

@description('dev or prod.')
param environment environmentName

@description('The workspace that is asked.')
param workspaceId string

@description('Whom alerts are told.')
param actionGroupId string

@description('What a month may cost, from which month on, and who is told; none: no budget yet.')
param budget { monthly: int, from: string, mail: string }?

@description('Above which use of the store and the apps somebody should look, each hour.')
param usual usualUse

@description('The tier of the gateway.')
param gatewayTier 'Developer' | 'StandardV2'

@description('The function apps.')
param apps { name: string, id: string }[]

@description('The name of the Cosmos DB account.')
param cosmosName string

@description('The name of the Service Bus namespace.')
param serviceBusName string

@description('The name of the gateway.')
param gatewayName string

@description('The name of the vault.')
param vaultName string

resource cosmos 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' existing = {
  name: cosmosName
}

resource servicebus 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: serviceBusName
}

resource gateway 'Microsoft.ApiManagement/service@2024-05-01' existing = {
  name: gatewayName
}

module alerts 'alerts.bicep' = {
  name: 'alerts'
  params: {
    location: location
    tags: tags
    prefix: prefix
    workspaceId: workspaceId
    actionGroupId: actionGroupId
    patient: environment == 'dev'
  }
}

module metricAlerts 'metric-alerts.bicep' = {
  name: 'metric-alerts'
  params: {
    tags: tags
    prefix: prefix
    actionGroupId: actionGroupId
    serviceBusId: servicebus.id
    cosmosId: cosmos.id
    gatewayId: gateway.id
    gatewayTier: gatewayTier
    apps: apps
    requestUnitsPerHour: usual.requestUnitsPerHour
    gigabyteSecondsPerHour: usual.gigabyteSecondsPerHour
  }
}

module workbook 'workbook.bicep' = {
  name: 'workbook'
  params: {
    location: location
    tags: tags
    title: 'Tessera ${environment}'
    workspaceId: workspaceId
    serviceBusId: servicebus.id
    cosmosId: cosmos.id
  }
}

module diagnostics 'diagnostics.bicep' = {
  name: 'diagnostics'
  params: {
    workspaceId: workspaceId
    cosmosName: cosmosName
    serviceBusName: serviceBusName
    vaultName: vaultName
    gatewayName: gatewayName
  }
}

// A subscription may have no budget in its first two days: what would be refused then is the whole deployment.
// https://learn.microsoft.com/azure/cost-management-billing/costs/quick-create-budget-bicep
module spending 'budget.bicep' = if (budget != null) {
  name: 'budget'
  params: {
    name: 'budget-${prefix}'
    monthly: budget!.monthly
    from: budget!.from
    mail: budget!.mail
    actionGroupId: actionGroupId
  }
}
