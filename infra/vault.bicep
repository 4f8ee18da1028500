// Before everything else: the resource group and its Key Vault. Secrets outlive deployments, and must be there before
// main.bicep refers to them: `python -m tools.delivery secrets` puts them in.

import { environmentName, sizes, vaultName } from 'environments.bicep'

targetScope = 'subscription'

@description('dev or prod.')
param environment environmentName

@description('Where everything is.')
param location string

@description('Begins the names of everything.')
@minLength(3)
@maxLength(9)
param installation string

@description('The object id of whoever deploys: may put secrets into the vault.')
param deployerPrincipalId string

@description('What deploys: a person, or a pipeline\'s identity.')
param deployerPrincipalType 'User' | 'ServicePrincipal'

var tags = { application: installation, environment: environment }

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${installation}-${environment}'
  location: location
  tags: tags
}

module vault 'modules/keyvault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    location: location
    tags: tags
    name: vaultName(subscription().subscriptionId, installation, environment)
    isProtected: sizes[environment].vaultProtected
    officerPrincipalId: deployerPrincipalId
    officerPrincipalType: deployerPrincipalType
  }
}

@description('The resource group.')
output AZURE_RESOURCE_GROUP string = group.name

@description('The vault to put secrets into.')
output KEY_VAULT_NAME string = vault.outputs.name
