// A storage account without keys: what the Functions host of one app keeps (locks of timers, packages), or backups.

@description('Where the account is.')
param location string

@description('Tags of every resource.')
param tags object

@description('The name of the account, 3 to 24 lower-case letters and digits.')
@minLength(3)
@maxLength(24)
param name string

@description('How often each blob is kept.')
param redundancy 'Standard_LRS' | 'Standard_ZRS'

@description('Containers that are there from the beginning.')
param containers string[]

@description('Days in which a blob can be neither changed nor deleted, by nobody; 0: blobs can be.')
@minValue(0)
@maxValue(146000)
param immutableDays int = 0

@description('Whether it can be reached from the internet at all (with a role, always).')
param isPublic bool

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: redundancy }
  properties: {
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    isLocalUserEnabled: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPublic ? 'Enabled' : 'Disabled'
    networkAcls: { defaultAction: isPublic ? 'Allow' : 'Deny', bypass: 'AzureServices' }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: { enabled: true, days: 7 }
    containerDeleteRetentionPolicy: { enabled: true, days: 7 }
    isVersioningEnabled: true
  }
}

resource folders 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = [
  for container in containers: {
    parent: blobs
    name: container
    properties: { publicAccess: 'None' }
  }
]

// What a blob was before lasts a month: who replaces a package leaves the old one behind. Backups last by their own policy.
resource oldVersions 'Microsoft.Storage/storageAccounts/managementPolicies@2025-01-01' = if (immutableDays == 0) {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'old-versions'
          type: 'Lifecycle'
          definition: {
            filters: { blobTypes: ['blockBlob'] }
            actions: { version: { delete: { daysAfterCreationGreaterThan: 30 } } }
          }
        }
      ]
    }
  }
  dependsOn: [blobs]
}

// Unlocked: the period can still be shortened by who may change policies. Locking it cannot be taken back; docs/runbook.md.
resource immutability 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2025-01-01' = [
  for (container, i) in containers: if (immutableDays > 0) {
    parent: folders[i]
    name: 'default'
    properties: { immutabilityPeriodSinceCreationInDays: immutableDays, allowProtectedAppendWrites: false }
  }
]

@description('The id of the account.')
output id string = account.id

@description('The name of the account.')
output name string = account.name

@description('Where blobs are reached, with a slash at its end.')
output blobEndpoint string = account.properties.primaryEndpoints.blob
