// Cosmos DB: the account, the database and the containers of topology.json. Strong consistency and one write region, because
// a batch hands no session token on and functions run on many instances; Tessera refuses any other account.

import { throughput } from '../environments.bicep'

@description('Where the account writes.')
param location string

@description('Tags of every resource.')
param tags object

@description('The name of the account.')
param name string

@description('Serverless, or autoscale with these maxima.')
param size throughput

@description('How far back the account can be restored to any moment; docs/runbook.md.')
param backupTier 'Continuous7Days' | 'Continuous30Days'

@description('Whether the region\'s zones hold a copy each.')
param zoneRedundant bool

@description('Whether it can be reached from the internet at all (with a role, always).')
param isPublic bool

var topology = loadJsonContent('../topology.json')
var serverless = size.?sharedMaximum == null

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' = {
  name: name
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    capabilities: serverless ? [{ name: 'EnableServerless' }] : []
    consistencyPolicy: { defaultConsistencyLevel: 'Strong' }
    locations: [{ locationName: location, failoverPriority: 0, isZoneRedundant: zoneRedundant }]
    enableMultipleWriteLocations: false
    backupPolicy: { type: 'Continuous', continuousModeProperties: { tier: backupTier } }
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: isPublic ? 'Enabled' : 'Disabled'
  }
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2025-04-15' = {
  parent: account
  name: topology.database
  properties: {
    resource: { id: topology.database }
    options: serverless ? {} : { autoscaleSettings: { maxThroughput: size.sharedMaximum! } }
  }
}

// Everything is found by point reads, but for what queries ask for: an index that serves none makes every write dearer. The
// time to live is on without a default: a document that may go says when. Four at a time: an account that is to make more at
// once answers 429.
@batchSize(4)
resource containers 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-04-15' = [
  for container in topology.containers: {
    parent: database
    name: container.name
    properties: {
      resource: {
        id: container.name
        partitionKey: { kind: 'Hash', paths: ['/${container.partition_key}'], version: 2 }
        defaultTtl: -1
        indexingPolicy: {
          indexingMode: 'consistent'
          automatic: true
          includedPaths: map(
            union(
              // A query of one partition would else look through all that lie beside it; the id is always indexed.
              container.partition_key == 'id' ? [] : [container.partition_key],
              container.?ordered_by ?? [],
              container.?looked_up_by ?? [],
              container.?found_by ?? [],
              container.?filtered_by ?? []
            ),
            property => { path: '/${property}/?' }
          )
          excludedPaths: [{ path: '/*' }]
          // A page goes on behind the last document's property and id, in either direction.
          compositeIndexes: map(container.?ordered_by ?? [], property => [
            { path: '/${property}', order: 'ascending' }
            { path: '/id', order: 'ascending' }
          ])
        }
      }
      options: contains(size.ownMaximum, container.name)
        ? { autoscaleSettings: { maxThroughput: size.ownMaximum[container.name] } }
        : {}
    }
  }
]

// For everybody who has rights on some container: the SDK asks the account where it is and how consistent. Last,
// because the account is locked while it takes a role.
resource looksAround 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-04-15' = {
  parent: account
  name: guid(account.id, 'metadata')
  properties: {
    roleName: 'Tessera: metadata'
    type: 'CustomRole'
    assignableScopes: [account.id]
    permissions: [{ dataActions: ['Microsoft.DocumentDB/databaseAccounts/readMetadata'] }]
  }
  dependsOn: [containers]
}

@description('The id of the account.')
output id string = account.id

@description('The name of the account.')
output name string = account.name

@description('Where the account is reached.')
output endpoint string = account.properties.documentEndpoint
