// Which secrets somebody may read: each by itself, not the vault.

@description('The name of the vault.')
param vaultName string

@description('Who may.')
param principalId string

@description('The secrets; a certificate is one too, with its key.')
param secretNames string[]

var user = '4633458b-17de-408a-b874-0445c86b69e6' // Key Vault Secrets User

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource secrets 'Microsoft.KeyVault/vaults/secrets@2024-11-01' existing = [
  for name in secretNames: {
    parent: vault
    name: name
  }
]

resource reading 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (name, i) in secretNames: {
    scope: secrets[i]
    name: guid(secrets[i].id, principalId, user)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', user)
      description: 'Key Vault Secrets User'
    }
  }
]
