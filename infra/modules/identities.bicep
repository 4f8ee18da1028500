// Who the parts are: a user-assigned identity for each function app, and one for the gateway. What they may do: access.bicep.

@description('Where the identities live.')
param location string

@description('Tags of every resource.')
param tags object

@description('Prefix of names, e.g. tessera-prod.')
param prefix string

@description('The names of the function apps.')
param appNames string[]

resource apps 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = [
  for name in appNames: {
    name: 'id-${prefix}-${name}'
    location: location
    tags: tags
  }
]

resource gateway 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${prefix}-gateway'
  location: location
  tags: tags
}

@export()
@description('An identity as others refer to it.')
type identityReference = {
  @description('Of the resource.')
  id: string

  @description('By which code names it.')
  clientId: string

  @description('To whom roles are given.')
  principalId: string
}

@description('The identities of the apps, in the order of their names.')
output apps identityReference[] = [
  for (name, i) in appNames: {
    id: apps[i].id
    clientId: apps[i].properties.clientId
    principalId: apps[i].properties.principalId
  }
]

@description('The identity of the gateway.')
output gateway identityReference = {
  id: gateway.id
  clientId: gateway.properties.clientId
  principalId: gateway.properties.principalId
}
