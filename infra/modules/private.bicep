// Private addresses of what would else be reached from the internet.

@description('Where the addresses are.')
param location string

@description('Tags of every resource.')
param tags object

@description('Prefix of names.')
param prefix string

@description('The subnet they are in.')
param subnetId string

@description('What gets an address: its name here, its id, which part of it (Sql, namespace, blob, sites), and the zone of that name.')
param targets { name: string, id: string, group: string, zone: string }[]

// One after the other: their subnet takes one change at a time.
@batchSize(1)
resource endpoints 'Microsoft.Network/privateEndpoints@2024-07-01' = [
  for target in targets: {
    name: 'pe-${prefix}-${target.name}'
    location: location
    tags: tags
    properties: {
      subnet: { id: subnetId }
      privateLinkServiceConnections: [
        {
          name: '${prefix}-${target.name}'
          properties: { privateLinkServiceId: target.id, groupIds: [target.group] }
        }
      ]
    }
  }
]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-07-01' = [
  for (target, i) in targets: {
    parent: endpoints[i]
    name: 'default'
    properties: { privateDnsZoneConfigs: [{ name: target.group, properties: { privateDnsZoneId: target.zone } }] }
  }
]
