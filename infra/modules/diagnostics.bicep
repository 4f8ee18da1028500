// What the services themselves log: who changed or read what. What they log of each request is dear and is left out; the
// runbook says how to turn it on for an hour.

@description('Where the logs go.')
param workspaceId string

@description('The store: changes of the account, its roles and its backups.')
param cosmosName string

@description('The bus: changes of its entities.')
param serviceBusName string

@description('The vault: each reading of a secret.')
param vaultName string

@description('The gateway.')
param gatewayName string

@description('Whether the gateway logs each request, what it refuses included: a kilobyte each, with the caller\'s address.')
param gatewayRequests bool = false

resource store 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' existing = {
  name: cosmosName
}

resource bus 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: serviceBusName
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource gateway 'Microsoft.ApiManagement/service@2024-05-01' existing = {
  name: gatewayName
}

resource ofStore 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: store
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [{ category: 'ControlPlaneRequests', enabled: true }]
  }
}

resource ofBus 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: bus
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [{ category: 'OperationalLogs', enabled: true }]
  }
}

resource ofVault 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'AuditEvent', enabled: true }]
  }
}

resource ofGateway 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (gatewayRequests) {
  scope: gateway
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [{ category: 'GatewayLogs', enabled: true }]
  }
}
