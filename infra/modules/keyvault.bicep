// Key Vault: every secret, and nothing else has any. Roles, no access policies.

@description('Where the vault is.')
param location string

@description('Tags of every resource.')
param tags object

@description('The name of the vault, 3 to 24 characters.')
@minLength(3)
@maxLength(24)
param name string

@description('Whether nobody can delete it for good before 90 days are over.')
param isProtected bool

@description('The object id of whoever puts secrets in.')
param officerPrincipalId string

@description('Whether that is a person or a pipeline.')
param officerPrincipalType 'User' | 'ServicePrincipal'

// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/security
var officers = {
  'Key Vault Secrets Officer': 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
  'Key Vault Certificates Officer': 'a4417e6f-fecd-4de8-b567-7b0420556985'
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    // Once it is true it stays so, and `false` is refused.
    enablePurgeProtection: isProtected ? true : null
    publicNetworkAccess: 'Enabled'
  }
}

resource officer 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in items(officers): {
    scope: vault
    name: guid(vault.id, officerPrincipalId, role.value)
    properties: {
      principalId: officerPrincipalId
      principalType: officerPrincipalType
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
      description: role.key
    }
  }
]

@description('The name of the vault.')
output name string = vault.name
