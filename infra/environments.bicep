// What differs between environments: sizes and tiers. Everything else is the same, so that dev shows what prod will do.

@export()
@description('dev is the cheapest that executes everything; prod is for on-sales.')
type environmentName = 'dev' | 'prod'

@export()
@description('One function app: which services it runs (TESSERA_SERVICES), and how it scales.')
type appSize = {
  @description('Part of its name.')
  @minLength(3)
  @maxLength(12)
  name: string

  @description('The deployable services it runs; docs/architecture.md.')
  @minLength(1)
  services: ('commerce' | 'identity' | 'insights' | 'workers')[]

  @description('Memory of an instance, in megabytes; a core comes with 2,048.')
  instanceMemoryMB: 512 | 2048 | 4096

  @description('Instances at most, for each group of functions that scales by itself.')
  @minValue(40)
  @maxValue(1000)
  maximumInstanceCount: int

  @description('Requests an instance takes at once before another one is started.')
  @minValue(1)
  @maxValue(1000)
  httpConcurrency: int

  @description('Instances that never stop: of all HTTP functions (`http`), or of one other (`function:<name>`).')
  alwaysReady: { name: string, instanceCount: int }[]
}

@export()
@description('Throughput of Cosmos DB. Without maxima the account is serverless.')
type throughput = {
  @description('Most request units a second that containers without their own share; null: serverless.')
  sharedMaximum: int?

  @description('Container → most request units a second it has for itself.')
  ownMaximum: { *: int }
}

@export()
@description('What is usual in an hour: above it, somebody is told.')
type usualUse = {
  @description('Request units; a million cost about a quarter of a dollar, serverless.')
  requestUnitsPerHour: int

  @description('Gigabyte-seconds of one app; a hundred thousand cost about 2.60 dollars.')
  gigabyteSecondsPerHour: int
}

@export()
type size = {
  apps: appSize[]
  cosmos: throughput
  cosmosZoneRedundant: bool

  @description('How far back the store can be restored; 7 days cost nothing.')
  cosmosBackup: 'Continuous7Days' | 'Continuous30Days'

  serviceBusTier: 'Standard' | 'Premium'
  gateway: { name: 'Developer' | 'StandardV2', capacity: int }
  siteTier: 'Free' | 'Standard'
  storageRedundancy: 'Standard_LRS' | 'Standard_ZRS'
  vaultProtected: bool
  @description('Days in which nobody can change or delete a backup.')
  backupDays: int
  logRetentionDays: int
  logDailyCapGb: int
  traceSampling: string
  usual: usualUse
}

@description('The sizes of each environment; docs/deploy.md says what they cost.')
@export()
var sizes = {
  dev: {
    apps: [
      {
        name: 'all'
        services: ['commerce', 'identity', 'insights', 'workers']
        instanceMemoryMB: 2048
        maximumInstanceCount: 40
        httpConcurrency: 50
        alwaysReady: []
      }
    ]
    cosmos: { sharedMaximum: null, ownMaximum: {} }
    cosmosZoneRedundant: false
    cosmosBackup: 'Continuous7Days'
    serviceBusTier: 'Standard'
    gateway: { name: 'Developer', capacity: 1 }
    siteTier: 'Free'
    storageRedundancy: 'Standard_LRS'
    vaultProtected: false
    backupDays: 1
    logRetentionDays: 30
    logDailyCapGb: 1
    traceSampling: '1.0'
    usual: { requestUnitsPerHour: 2000000, gigabyteSecondsPerHour: 20000 }
  }
  prod: {
    apps: [
      {
        name: 'commerce'
        services: ['commerce']
        instanceMemoryMB: 2048
        maximumInstanceCount: 200
        httpConcurrency: 50
        // An on-sale begins within a second; an instance takes several to start. Payments are settled as promptly.
        alwaysReady: [
          { name: 'http', instanceCount: 2 }
          { name: 'function:settle_order', instanceCount: 1 }
        ]
      }
      {
        name: 'identity'
        services: ['identity']
        instanceMemoryMB: 2048
        maximumInstanceCount: 40
        httpConcurrency: 50
        alwaysReady: []
      }
      {
        name: 'insights'
        services: ['insights']
        instanceMemoryMB: 2048
        maximumInstanceCount: 40
        httpConcurrency: 50
        alwaysReady: []
      }
      {
        name: 'workers'
        services: ['workers']
        instanceMemoryMB: 2048
        maximumInstanceCount: 100
        httpConcurrency: 50
        // The relay of orders: everything that follows from a sale waits for it.
        alwaysReady: [{ name: 'function:relay_orders', instanceCount: 1 }]
      }
    ]
    cosmos: { sharedMaximum: 4000, ownMaximum: { orders: 10000, inventory: 20000 } }
    cosmosZoneRedundant: true
    cosmosBackup: 'Continuous30Days'
    serviceBusTier: 'Premium'
    gateway: { name: 'StandardV2', capacity: 1 }
    siteTier: 'Standard'
    storageRedundancy: 'Standard_ZRS'
    vaultProtected: true
    backupDays: 30
    logRetentionDays: 90
    logDailyCapGb: 20
    traceSampling: '0.2'
    // A sale of 100,000 tickets within an hour stays below both.
    usual: { requestUnitsPerHour: 40000000, gigabyteSecondsPerHour: 200000 }
  }
}

@description('The name of an installation\'s vault, on which two deployments must agree.')
@export()
func vaultName(subscriptionId string, installation string, environment string) string =>
  take('kv-${installation}-${environment}-${uniqueString(subscriptionId, installation, environment)}', 24)

@description('The name of the account that keeps an installation\'s packages, on which they must agree too.')
@export()
func releasesName(subscriptionId string, installation string, environment string) string =>
  take('st${installation}${uniqueString(subscriptionId, installation, environment, 'releases')}', 24)
