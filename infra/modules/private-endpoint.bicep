// A private address of one service, under the name it always has.

@description('Where the address is.')
param location string

@description('Tags of every resource.')
param tags object

@description('The name of the endpoint.')
param name string

@description('The subnet it is in.')
param subnetId string

@description('What it leads to.')
param targetId string

@description('Which part of that: Sql, namespace, blob, sites.')
param group string

@description('The zone in which its name is.')
param zoneId string

resource endpoint 'Microsoft.Network/privateEndpoints@2024-07-01' = {
  name: 'pe-${name}'
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      { name: name, properties: { privateLinkServiceId: targetId, groupIds: [group] } }
    ]
  }
}

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-07-01' = {
  parent: endpoint
  name: 'default'
  properties: { privateDnsZoneConfigs: [{ name: group, properties: { privateDnsZoneId: zoneId } }] }
}
