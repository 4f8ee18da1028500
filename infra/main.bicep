// Tessera on Azure, whole: docs/deploy.md says how, docs/architecture.md why. vault.bicep comes first.

import { environmentName, releasesName, sizes, vaultName } from 'environments.bicep'

targetScope = 'subscription'

@description('dev or prod: which sizes.')
param environment environmentName

@description('Where everything is; where Flex Consumption is.')
param location string

@description('Where the website\'s settings are kept: of its service there are five regions.')
param siteLocation 'centralus' | 'eastasia' | 'eastus2' | 'westeurope' | 'westus2' = 'westeurope'

@description('Begins the names of everything.')
@minLength(3)
@maxLength(9)
param installation string

@description('Issuers of people\'s tokens, comma-separated, two at most: of the first one roles count.')
param authorities string

@description('The audience of access tokens.')
param audience string

@description('Where people reach us, if not at the gateway\'s own name.')
param publicUrl string = ''

@description('Where the website is served, if not at its own name.')
param siteOrigin string = ''

@description('Whether people see events before they sign in.')
param anonymousBrowsing bool = false

@description('The mail server; its password is in the vault.')
param smtp { host: string, port: int, username: string, starttls: bool }

@description('Whom mails are from.')
param mailFrom string

@description('Where people\'s accounts are administered; none: not from here. The certificate is in the vault.')
param directory { authority: string, clientId: string, issuer: string }?

@description('Who gets alerts, and is API Management\'s publisher.')
param alertMail string

@description('What a month may cost before somebody is told, in the subscription\'s currency.')
@minValue(1)
param budgetMonthly int

@description('The first of a month, yyyy-MM-01, from which the budget counts: of this month when it is made, never changed afterwards. later: no budget yet.')
param budgetFrom string

@description('Whether the apps, what they store in and the bus are reached from a network of their own alone. Not closed by it: the vault, logs and traces, the account of packages. Only in prod.')
param privateNetworking bool = false

@description('Limits of the gateway that are not the usual ones: named value → value; policies/operations.json tells them.')
param gatewayLimits object = {}

@description('The first address that may ask for metrics and insights.')
param privateFrom string = '127.0.0.0'

@description('The last one.')
param privateTo string = '127.255.255.255'

var size = sizes[environment]
var isPrivate = privateNetworking && size.serviceBusTier != 'Premium'
  ? fail('privateNetworking needs prod: only Premium of Service Bus has private addresses')
  : privateNetworking
var apps = size.apps
var prefix = '${installation}-${environment}'
var token = uniqueString(subscription().subscriptionId, installation, environment)
var tags = { application: installation, environment: environment }
var appNames = [for app in apps: '${prefix}-${app.name}-${token}']
var gatewayName = '${prefix}-gateway-${token}'
var vault = vaultName(subscription().subscriptionId, installation, environment)
var vaultUri = 'https://${vault}${az.environment().suffixes.keyvaultDns}/'
var reachedAt = empty(publicUrl) ? 'https://${gatewayName}.azure-api.net' : publicUrl
var packages = 'packages'

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${prefix}'
  location: location
  tags: tags
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  scope: group
  params: { location: location, tags: tags, prefix: prefix, appNames: map(apps, app => app.name) }
}

module network 'modules/network.bicep' = if (isPrivate) {
  name: 'network'
  scope: group
  params: { location: location, tags: tags, name: 'vnet-${prefix}', appNames: map(apps, app => app.name) }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    location: location
    tags: tags
    prefix: prefix
    retentionDays: size.logRetentionDays
    dailyCapGb: size.logDailyCapGb
    alertMail: alertMail
  }
}

module stores 'modules/stores.bicep' = {
  name: 'stores'
  scope: group
  params: {
    location: location
    tags: tags
    prefix: prefix
    installation: installation
    token: token
    apps: apps
    sizes: size
    packages: packages
    network: isPrivate ? { subnetId: network!.outputs.endpointsSubnetId, zones: network!.outputs.zoneIds } : null
  }
}

module access 'modules/access.bicep' = {
  name: 'access'
  scope: group
  params: {
    apps: apps
    identities: identities.outputs.apps
    gatewayIdentity: identities.outputs.gateway
    storageNames: map(stores.outputs.storages, account => account.name)
    cosmosName: stores.outputs.cosmos.name
    serviceBusName: stores.outputs.servicebus.name
    vaultName: vault
    insightsName: monitoring.outputs.insightsName
    absentSecrets: absent
  }
}

module site 'modules/site.bicep' = {
  name: 'site'
  scope: group
  params: { location: siteLocation, tags: tags, name: '${prefix}-site-${token}', tier: size.siteTier }
}

// What every app is told; its secrets are those that its services need, and that there are.
var absent = union(directory == null ? ['directory-certificate'] : [], empty(smtp.username) ? ['smtp-password'] : [])
var settings = {
  COSMOS__accountEndpoint: stores.outputs.cosmos.endpoint
  SERVICEBUS__fullyQualifiedNamespace: stores.outputs.servicebus.host
  APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
  TESSERA_PUBLIC_URL: reachedAt
  TESSERA_ANONYMOUS_BROWSING: string(anonymousBrowsing)
  TESSERA_TRACE_SAMPLING: size.traceSampling
  AUTH_AUTHORITIES: authorities
  AUTH_AUDIENCE: audience
  SMTP_HOST: smtp.host
  SMTP_PORT: string(smtp.port)
  SMTP_USERNAME: smtp.username
  SMTP_STARTTLS: string(smtp.starttls)
  MAIL_FROM: mailFrom
}
// Without their roles they could neither read their secrets nor their packages. A role takes minutes to be seen: these are
// minutes old by then, since Cosmos DB takes its rights one after the other. docs/deploy.md says what to do if that is not enough.
module functionApps 'modules/apps.bicep' = {
  name: 'apps'
  scope: group
  params: {
    location: location
    tags: tags
    apps: apps
    names: appNames
    identities: identities.outputs.apps
    storages: stores.outputs.storages
    packagesContainer: packages
    settings: settings
    directorySettings: directory == null
      ? {}
      : {
          DIRECTORY_AUTHORITY: directory!.authority
          DIRECTORY_CLIENT_ID: directory!.clientId
          DIRECTORY_ISSUER: directory!.issuer
        }
    vaultUri: vaultUri
    absentSecrets: absent
    subnetIds: isPrivate ? network!.outputs.appSubnetIds : null
    isPublic: !isPrivate
  }
  dependsOn: [access]
}

// The functions of a context are in the service's app; their names begin with it, and so their gateway's backend is found.
var serviceOf = {
  catalog: 'commerce'
  inventory: 'commerce'
  sales: 'commerce'
  admission: 'commerce'
  identity: 'identity'
  insights: 'insights'
  operations: 'workers'
}

module gateway 'modules/gateway.bicep' = {
  name: 'gateway'
  scope: group
  params: {
    location: location
    tags: tags
    name: gatewayName
    tier: size.gateway
    identity: identities.outputs.gateway
    publisher: { email: alertMail, name: installation }
    vaultUri: vaultUri
    values: union(
      {
        authority: first(split(authorities, ','))
        'second-authority': last(split(authorities, ','))
        'api-audience': audience
        'anonymous-browsing': anonymousBrowsing ? 'true' : 'false'
        'backend-client': identities.outputs.gateway.clientId
        'site-origin': empty(siteOrigin) ? site.outputs.url : siteOrigin
        'private-from': privateFrom
        'private-to': privateTo
      },
      gatewayLimits
    )
    backends: toObject(
      items(serviceOf),
      context => context.key,
      context => 'https://${appNames[first(filter(range(0, length(apps)), i => contains(apps[i].services, context.value)))!]}.azurewebsites.net'
    )
    insights: { id: monitoring.outputs.insightsId, connectionString: monitoring.outputs.connectionString }
    sampling: environment == 'prod' ? 20 : 100
    subnetId: isPrivate ? network!.outputs.gatewaySubnetId : null
  }
  dependsOn: [access]
}

module api 'modules/gateway-api.bicep' = {
  name: 'gateway-api'
  scope: group
  params: { gatewayName: gateway.outputs.name }
}

module privateApps 'modules/private.bicep' = if (isPrivate) {
  name: 'private-apps'
  scope: group
  params: {
    location: location
    tags: tags
    prefix: prefix
    subnetId: network!.outputs.endpointsSubnetId
    targets: [
      for (app, i) in apps: {
        name: 'app-${app.name}'
        id: functionApps.outputs.ids[i]
        group: 'sites'
        zone: network!.outputs.zoneIds.sites
      }
    ]
  }
}

module watch 'modules/watch.bicep' = {
  name: 'watch'
  scope: group
  params: {
    location: location
    tags: tags
    prefix: prefix
    environment: environment
    workspaceId: monitoring.outputs.workspaceId
    actionGroupId: monitoring.outputs.actionGroupId
    cosmosName: stores.outputs.cosmos.name
    serviceBusName: stores.outputs.servicebus.name
    gatewayName: gateway.outputs.name
    vaultName: vault
    usual: size.usual
    gatewayTier: size.gateway.name
    apps: [for (app, i) in apps: { name: app.name, id: functionApps.outputs.ids[i] }]
    budget: budgetFrom == 'later' ? null : { monthly: budgetMonthly, from: budgetFrom, mail: alertMail }
  }
}

@description('The resource group.')
output AZURE_RESOURCE_GROUP string = group.name

@description('Where clients call.')
output GATEWAY_URL string = gateway.outputs.url

@description('The function apps, comma-separated.')
output FUNCTION_APPS string = join(appNames, ',')

@description('The website\'s name and address.')
output SITE_NAME string = site.outputs.name

@description('Where the website is served.')
output SITE_URL string = site.outputs.url

@description('The vault.')
output KEY_VAULT_NAME string = vault

@description('The account that keeps packages.')
output RELEASES_ACCOUNT string = releasesName(subscription().subscriptionId, installation, environment)

@description('Application Insights.')
output APPLICATION_INSIGHTS_NAME string = monitoring.outputs.insightsName

@description('Under which its query API knows it.')
output APPLICATION_INSIGHTS_APP_ID string = monitoring.outputs.insightsAppId

@description('The workspace that queries ask.')
output LOG_ANALYTICS_WORKSPACE_ID string = monitoring.outputs.workspaceCustomerId

@description('The store.')
output COSMOS_ENDPOINT string = stores.outputs.cosmos.endpoint

@description('The bus.')
output SERVICEBUS_NAMESPACE string = stores.outputs.servicebus.host

@description('Where payment data will be backed up to; empty until that is built.')
output BACKUP_STORAGE string = stores.outputs.backupsName
