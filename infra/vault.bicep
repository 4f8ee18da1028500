// Before everything else: the resource group, its Key Vault, and where packages are kept. Secrets outlive deployments, and must
// be there before main.bicep refers to them: `python -m tools.delivery secrets` puts them in. Packages outlive them as well: one
// that worked is what is gone back to.

import { environmentName, releasesName, sizes, vaultName } from 'environments.bicep'

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

module releases 'modules/storage.bicep' = {
  name: 'releases'
  scope: group
  params: {
    location: location
    tags: tags
    name: releasesName(subscription().subscriptionId, installation, environment)
    redundancy: sizes[environment].storageRedundancy
    containers: ['releases']
    isPublic: true
  }
}

module releasesAccess 'modules/access-releases.bicep' = {
  name: 'access-releases'
  scope: group
  params: {
    accountName: releases.outputs.name
    principalId: deployerPrincipalId
    principalType: deployerPrincipalType
  }
}

@description('The resource group.')
output AZURE_RESOURCE_GROUP string = group.name

@description('The vault to put secrets into.')
output KEY_VAULT_NAME string = vault.outputs.name

@description('The account to keep packages in.')
output RELEASES_ACCOUNT string = releases.outputs.name
