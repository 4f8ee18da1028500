// Whoever deploys keeps packages, and fetches the one to go back to.

@description('The name of the account.')
param accountName string

@description('Whoever deploys.')
param principalId string

@description('Whether that is a person or a pipeline.')
param principalType 'User' | 'ServicePrincipal'

var blobContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe' // Storage Blob Data Contributor

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: accountName
}

resource contributor 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, principalId, blobContributor)
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributor)
    description: 'Storage Blob Data Contributor'
  }
}
