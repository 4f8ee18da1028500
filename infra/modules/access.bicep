// Who may do what: the only place where roles are given, but for who deploys (vault.bicep). services.json says what each
// service needs; tests compare it with what functions really touch (docs/azure.md).

import { appSize } from '../environments.bicep'
import { identityReference } from 'identities.bicep'

@description('The apps, in the order of their identities and accounts.')
param apps appSize[]

@description('Their identities.')
param identities identityReference[]

@description('The identity of the gateway.')
param gatewayIdentity identityReference

@description('The names of their storage accounts.')
param storageNames string[]

@description('The name of the Cosmos DB account.')
param cosmosName string

@description('The name of the Service Bus namespace.')
param serviceBusName string

@description('The name of the vault.')
param vaultName string

@description('The name of Application Insights.')
param insightsName string

@description('Secrets that this installation does without.')
param absentSecrets string[]

var services = loadJsonContent('../services.json')

module storage 'access-storage.bicep' = [
  for (name, i) in storageNames: {
    name: 'access-storage-${apps[i].name}'
    params: { accountName: name, principalId: identities[i].principalId }
  }
]

// One app after the other: see there.
@batchSize(1)
module documents 'access-cosmos.bicep' = [
  for (app, i) in apps: {
    name: 'access-cosmos-${app.name}'
    params: {
      accountName: cosmosName
      principalId: identities[i].principalId
      services: app.services
    }
  }
]

module messages 'access-servicebus.bicep' = [
  for (app, i) in apps: {
    name: 'access-servicebus-${app.name}'
    params: {
      namespaceName: serviceBusName
      principalId: identities[i].principalId
      services: app.services
    }
  }
]

module secrets 'access-secrets.bicep' = [
  for (app, i) in apps: {
    name: 'access-secrets-${app.name}'
    params: {
      vaultName: vaultName
      principalId: identities[i].principalId
      secretNames: filter(
        union(flatten(map(app.services, service => (services[service].secrets))), []),
        secret => !contains(absentSecrets, secret)
      )
    }
  }
]

module gatewaySecrets 'access-secrets.bicep' = {
  name: 'access-secrets-gateway'
  params: {
    vaultName: vaultName
    principalId: gatewayIdentity.principalId
    secretNames: ['gateway-secret', 'insights-api-key']
  }
}

module telemetry 'access-telemetry.bicep' = {
  name: 'access-telemetry'
  params: {
    insightsName: insightsName
    principalIds: map(concat(identities, [gatewayIdentity]), identity => identity.principalId)
  }
}
