// What the apps store in, each with its address in the network where there is one: so whoever waits for it can reach it.

import { appSize, size } from '../environments.bicep'

@description('Where everything is.')
param location string

@description('Tags of every resource.')
param tags object

@description('Begins the names.')
param prefix string

@description('The subnet of private addresses, and the zones of their names; none: everything is reached from everywhere.')
param network { subnetId: string, zones: { cosmos: string, servicebus: string, blob: string, sites: string } }?

@description('Begins the names of storage accounts.')
param installation string

@description('Ends the names that have to be the only ones anywhere.')
param token string

@description('The function apps: each has a storage account of its own.')
param apps appSize[]

@description('How large everything is.')
param sizes size

@description('The container of each app\'s packages.')
param packages string

var isPublic = network == null

module cosmos 'cosmos.bicep' = {
  name: 'cosmos'
  params: {
    location: location
    tags: tags
    name: '${prefix}-${token}'
    size: sizes.cosmos
    backupTier: sizes.cosmosBackup
    zoneRedundant: sizes.cosmosZoneRedundant
    isPublic: isPublic
  }
}

module servicebus 'servicebus.bicep' = {
  name: 'servicebus'
  params: {
    location: location
    tags: tags
    name: '${prefix}-${token}'
    tier: sizes.serviceBusTier
    isPublic: isPublic
  }
}

module storages 'storage.bicep' = [
  for app in apps: {
    name: 'storage-${app.name}'
    params: {
      location: location
      tags: tags
      name: take('st${installation}${uniqueString(token, app.name)}', 24)
      redundancy: sizes.storageRedundancy
      containers: [packages]
      isPublic: isPublic
    }
  }
]

// Empty until payment data is backed up: nothing writes there yet, and nobody has a role on it.
module backups 'storage.bicep' = {
  name: 'storage-backups'
  params: {
    location: location
    tags: tags
    name: take('st${installation}${uniqueString(token, 'backups')}', 24)
    redundancy: sizes.storageRedundancy
    containers: ['payments']
    immutableDays: sizes.backupDays
    isPublic: isPublic
  }
}

module addresses 'private.bicep' = if (network != null) {
  name: 'private-stores'
  params: {
    location: location
    tags: tags
    prefix: prefix
    subnetId: network!.subnetId
    targets: [
      { name: 'cosmos', id: cosmos.outputs.id, group: 'Sql', zone: network!.zones.cosmos }
      { name: 'servicebus', id: servicebus.outputs.id, group: 'namespace', zone: network!.zones.servicebus }
      { name: 'backups', id: backups.outputs.id, group: 'blob', zone: network!.zones.blob }
    ]
  }
}

module addressesOfStorages 'private.bicep' = if (network != null) {
  name: 'private-storages'
  params: {
    location: location
    tags: tags
    prefix: prefix
    subnetId: network!.subnetId
    targets: [
      for (app, i) in apps: {
        name: 'storage-${app.name}'
        id: storages[i].outputs.id
        group: 'blob'
        zone: network!.zones.blob
      }
    ]
  }
  dependsOn: [addresses] // the same subnet
}

@description('The Cosmos DB account.')
output cosmos { name: string, endpoint: string } = { name: cosmos.outputs.name, endpoint: cosmos.outputs.endpoint }

@description('The Service Bus namespace.')
output servicebus { name: string, host: string } = { name: servicebus.outputs.name, host: servicebus.outputs.host }

@description('The storage account of each app, in their order.')
output storages { name: string, blobEndpoint: string }[] = [
  for (app, i) in apps: { name: storages[i].outputs.name, blobEndpoint: storages[i].outputs.blobEndpoint }
]

@description('The name of the storage account of backups.')
output backupsName string = backups.outputs.name
