// A function app on Flex Consumption: some of the services of one package (TESSERA_SERVICES), under an identity of its own.

import { appSize } from '../environments.bicep'
import { identityReference } from 'identities.bicep'

@description('Where the app runs.')
param location string

@description('Tags of every resource.')
param tags object

@description('The name of the app.')
param name string

@description('Its services, and how it scales.')
param app appSize

@description('Who it is.')
param identity identityReference

@description('Where its storage account\'s blobs are reached.')
param blobEndpoint string

@description('The name of its storage account.')
param storageName string

@description('The container of that account that packages are published to.')
param packagesContainer string

@description('Settings that it has besides those it gets here.')
param settings object

@description('The subnet it calls others from; none: the internet.')
param subnetId string?

@description('Whether it can be reached from the internet (functions ask for the gateway\'s proof, always).')
param isPublic bool

// On Flex Consumption the language is not a setting, and the version of the host is Azure's.
var own = {
  AzureWebJobsStorage__accountName: storageName
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.clientId
  COSMOS__credential: 'managedidentity'
  COSMOS__clientId: identity.clientId
  SERVICEBUS__credential: 'managedidentity'
  SERVICEBUS__clientId: identity.clientId
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD;ClientId=${identity.clientId}'
  TESSERA_SERVICES: join(app.services, ',')
  TESSERA_STORE: 'cosmos'
  TESSERA_BUS: 'servicebus'
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    keyVaultReferenceIdentity: identity.id
    publicNetworkAccess: isPublic ? 'Enabled' : 'Disabled'
    virtualNetworkSubnetId: subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      appSettings: map(items(union(own, settings)), setting => { name: setting.key, value: setting.value })
    }
    functionAppConfig: {
      runtime: { name: 'python', version: '3.13' }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${blobEndpoint}${packagesContainer}'
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identity.id }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: app.instanceMemoryMB
        maximumInstanceCount: app.maximumInstanceCount
        alwaysReady: app.alwaysReady
        triggers: { http: { perInstanceConcurrency: app.httpConcurrency } }
      }
    }
  }
}

// Publishing goes with Entra tokens only: no user names, no passwords.
resource noPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = [
  for way in ['ftp', 'scm']: {
    parent: site
    name: way
    properties: { allow: false }
  }
]

@description('The id of the app.')
output id string = site.id

@description('The name of the app.')
output name string = site.name
