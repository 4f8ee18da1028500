// What a month may cost. A budget only tells, hours or a day late, and stops nothing; metric-alerts.bicep is faster.

@description('The name of the budget.')
param name string

@description('What a month may cost, in the subscription\'s currency.')
@minValue(1)
param monthly int

@description('The first of a month, yyyy-MM-01, from which it counts. It cannot be changed later.')
param from string

@description('Who gets the mails.')
param mail string

@description('Whom it is told besides.')
param actionGroupId string

var told = { enabled: true, operator: 'GreaterThanOrEqualTo', contactEmails: [mail], contactGroups: [actionGroupId] }

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {
  name: name
  properties: {
    category: 'Cost'
    amount: monthly
    timeGrain: 'Monthly'
    timePeriod: { startDate: from }
    notifications: {
      half: union(told, { threshold: 50, thresholdType: 'Actual' })
      nearly: union(told, { threshold: 80, thresholdType: 'Actual' })
      spent: union(told, { threshold: 100, thresholdType: 'Actual' })
      expected: union(told, { threshold: 100, thresholdType: 'Forecasted' })
    }
  }
}
