// What an app may do in Cosmos DB: container by container. Making containers is nobody's right here: Bicep does it.

@description('The name of the account.')
param accountName string

@description('Who may.')
param principalId string

@description('The services it runs.')
param services string[]

var database = loadJsonContent('../topology.json').database
var needs = loadJsonContent('../services.json')
var writes = union(flatten(map(services, service => (needs[service].writes))), [])
var reads = filter(
  union(flatten(map(services, service => (needs[service].reads))), []),
  container => !contains(writes, container)
)

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' existing = {
  name: accountName
}

resource looksAround 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-04-15' existing = {
  parent: account
  name: guid(account.id, 'metadata')
}

// Built-in: https://learn.microsoft.com/azure/cosmos-db/reference-data-plane-security
var reader = '${account.id}/sqlRoleDefinitions/00000000-0000-0000-0000-000000000001'
var contributor = '${account.id}/sqlRoleDefinitions/00000000-0000-0000-0000-000000000002'

resource metadata 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = {
  parent: account
  name: guid(account.id, principalId, 'metadata')
  properties: { principalId: principalId, roleDefinitionId: looksAround.id, scope: account.id }
}

// The account takes one right at a time, and refuses (412) another that comes meanwhile: here one after the other, in
// access.bicep app by app.
@batchSize(1)
resource writing 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = [
  for container in writes: {
    parent: account
    name: guid(account.id, principalId, container, 'write')
    properties: {
      principalId: principalId
      roleDefinitionId: contributor
      scope: '${account.id}/dbs/${database}/colls/${container}'
    }
    dependsOn: [metadata]
  }
]

@batchSize(1)
resource reading 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = [
  for container in reads: {
    parent: account
    name: guid(account.id, principalId, container, 'read')
    properties: {
      principalId: principalId
      roleDefinitionId: reader
      scope: '${account.id}/dbs/${database}/colls/${container}'
    }
    dependsOn: [writing]
  }
]
