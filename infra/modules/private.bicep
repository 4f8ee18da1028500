// Private addresses of everything that would else be reached from the internet.

@description('Where the addresses are.')
param location string

@description('Tags of every resource.')
param tags object

@description('Prefix of names.')
param prefix string

@description('The subnet they are in.')
param subnetId string

@description('The zones in which their names are.')
param zones { cosmos: string, servicebus: string, blob: string, sites: string }

@description('The store.')
param cosmosId string

@description('The bus.')
param serviceBusId string

@description('The storage accounts of the apps.')
param storages { name: string, id: string }[]

@description('The storage account of backups.')
param backupsId string

@description('The apps.')
param sites { name: string, id: string }[]

var targets = concat(
  [
    { name: 'cosmos', id: cosmosId, group: 'Sql', zone: zones.cosmos }
    { name: 'servicebus', id: serviceBusId, group: 'namespace', zone: zones.servicebus }
    { name: 'backups', id: backupsId, group: 'blob', zone: zones.blob }
  ],
  map(storages, account => { name: 'storage-${account.name}', id: account.id, group: 'blob', zone: zones.blob }),
  map(sites, site => { name: 'app-${site.name}', id: site.id, group: 'sites', zone: zones.sites })
)

module endpoints 'private-endpoint.bicep' = [
  for i in range(0, 3 + length(storages) + length(sites)): {
    name: 'endpoint-${i}'
    params: {
      location: location
      tags: tags
      name: '${prefix}-${targets[i].name}'
      subnetId: subnetId
      targetId: targets[i].id
      group: targets[i].group
      zoneId: targets[i].zone
    }
  }
]
