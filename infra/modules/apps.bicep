// The function apps: one package, some of its services each, and the secrets that these need.

import { appSize } from '../environments.bicep'
import { identityReference } from 'identities.bicep'

@description('Where the apps run.')
param location string

@description('Tags of every resource.')
param tags object

@description('Their services, and how they scale.')
param apps appSize[]

@description('Their names, in the same order, as everything that follows.')
param names string[]

@description('Who they are.')
param identities identityReference[]

@description('Their storage accounts.')
param storages { name: string, blobEndpoint: string }[]

@description('The container of these that packages are published to.')
param packagesContainer string

@description('What every app is told.')
param settings object

@description('What the app is told besides that administers people\'s accounts; it alone has the certificate.')
param directorySettings object

@description('Where the vault is reached, with a slash at its end.')
param vaultUri string

@description('Secrets that this installation does without.')
param absentSecrets string[]

@description('The subnets they call others from; none: the internet.')
param subnetIds string[]?

@description('Whether they can be reached from the internet.')
param isPublic bool

var services = loadJsonContent('../services.json')
var settingOf = {
  'signing-secret': 'TESSERA_SIGNING_SECRET'
  'ticket-key': 'TESSERA_TICKET_KEY'
  'gateway-accepted': 'GATEWAY_SECRET'
  'insights-api-key': 'INSIGHTS_API_KEY'
  'stripe-api-key': 'STRIPE_API_KEY'
  'stripe-webhook-secret': 'STRIPE_WEBHOOK_SECRET'
  'smtp-password': 'SMTP_PASSWORD'
  'directory-certificate': 'DIRECTORY_CERTIFICATE'
}
var secretsOf = [
  for app in apps: filter(
    union(flatten(map(app.services, service => (services[service].secrets))), []),
    secret => !contains(absentSecrets, secret)
  )
]
var secretSettings = [
  for (app, i) in apps: toObject(
    secretsOf[i],
    secret => (settingOf[secret]),
    secret => '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/${secret})'
  )
]

module sites 'functionapp.bicep' = [
  for (app, i) in apps: {
    name: 'app-${app.name}'
    params: {
      location: location
      tags: union(tags, { 'azd-service-name': app.name })
      name: names[i]
      app: app
      identity: identities[i]
      blobEndpoint: storages[i].blobEndpoint
      storageName: storages[i].name
      packagesContainer: packagesContainer
      settings: union(settings, secretSettings[i], contains(app.services, 'identity') ? directorySettings : {})
      subnetId: subnetIds[?i]
      isPublic: isPublic
    }
  }
]

@description('The ids of the apps, in the order of their names.')
output ids string[] = [for (app, i) in apps: sites[i].outputs.id]
