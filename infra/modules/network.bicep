// A network of our own, and names that lead to private addresses. Only with the parameter privateNetworking.

@description('Where the network is.')
param location string

@description('Tags of every resource.')
param tags object

@description('The name of the network.')
param name string

@description('The names of the function apps: each has a subnet of its own, as Flex Consumption demands.')
param appNames string[]

var services = {
  cosmos: 'privatelink.documents.azure.com'
  servicebus: 'privatelink.servicebus.windows.net'
  blob: 'privatelink.blob.${environment().suffixes.storage}'
  sites: 'privatelink.azurewebsites.net'
}

resource network 'Microsoft.Network/virtualNetworks@2024-07-01' = {
  name: name
  location: location
  tags: tags
  properties: { addressSpace: { addressPrefixes: ['10.40.0.0/20'] } }
}

// One after the other: a network takes one change at a time.
resource endpoints 'Microsoft.Network/virtualNetworks/subnets@2024-07-01' = {
  parent: network
  name: 'endpoints'
  properties: { addressPrefix: '10.40.0.0/24', privateEndpointNetworkPolicies: 'Enabled' }
}

resource gateway 'Microsoft.Network/virtualNetworks/subnets@2024-07-01' = {
  parent: network
  name: 'gateway'
  properties: {
    addressPrefix: '10.40.1.0/24'
    delegations: [{ name: 'gateway', properties: { serviceName: 'Microsoft.Web/serverFarms' } }]
    networkSecurityGroup: { id: gatewayRules.id }
  }
  dependsOn: [endpoints]
}

resource gatewayRules 'Microsoft.Network/networkSecurityGroups@2024-07-01' = {
  name: 'nsg-${name}-gateway'
  location: location
  tags: tags
  properties: { securityRules: [] }
}

@batchSize(1)
resource apps 'Microsoft.Network/virtualNetworks/subnets@2024-07-01' = [
  for (app, i) in appNames: {
    parent: network
    name: 'app-${app}'
    properties: {
      addressPrefix: '10.40.${2 + i}.0/24'
      delegations: [{ name: 'app', properties: { serviceName: 'Microsoft.App/environments' } }]
    }
    dependsOn: [gateway]
  }
]

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for service in items(services): {
    name: service.value
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (service, i) in items(services): {
    parent: zones[i]
    name: 'to-${name}'
    location: 'global'
    tags: tags
    properties: { registrationEnabled: false, virtualNetwork: { id: network.id } }
  }
]

@description('The subnet of private endpoints.')
output endpointsSubnetId string = endpoints.id

@description('The subnet that the gateway calls from.')
output gatewaySubnetId string = gateway.id

@description('The subnets of the apps, in the order of their names.')
output appSubnetIds string[] = [for (app, i) in appNames: apps[i].id]

@description('The zone in which a kind of private endpoint has its name.')
output zoneIds {
  cosmos: string
  servicebus: string
  blob: string
  sites: string
} = {
  cosmos: resourceId('Microsoft.Network/privateDnsZones', services.cosmos)
  servicebus: resourceId('Microsoft.Network/privateDnsZones', services.servicebus)
  blob: resourceId('Microsoft.Network/privateDnsZones', services.blob)
  sites: resourceId('Microsoft.Network/privateDnsZones', services.sites)
}
